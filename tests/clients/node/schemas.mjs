// Prints the JSON Schema of everything that Zod can turn into one, by the names of the tests.

import * as z from "zod";

const short = z.string().max(8);
const Person = z.object({ name: short, age: z.int().nonnegative() });
const Category = z.object({
  name: z.literal("root"),
  get children() {
    return z.array(Category).max(1);
  },
});

// The properties of one object, so that a reply has all of them.
const types = {
  object: Person,
  "strict object": z.strictObject({ a: z.boolean() }),
  "loose object": z.looseObject({ a: z.boolean() }),
  "object with a catchall": z.object({ a: z.boolean() }).catchall(z.int()),
  "partial object": Person.partial(),
  "empty object": z.object({}),
  nested: z.object({ owner: Person, members: z.array(Person).min(1).max(2) }),
  recursive: Category,
  string: short,
  email: z.email(),
  url: z.url(),
  "UUID and GUID": z.object({ uuid: z.uuid(), v4: z.uuidv4(), guid: z.guid() }),
  identifiers: z.object({
    cuid: z.cuid(),
    cuid2: z.cuid2(),
    ulid: z.ulid(),
    xid: z.xid(),
    ksuid: z.ksuid(),
    nanoid: z.nanoid(),
  }),
  emoji: z.emoji(),
  base64: z.object({ base64: z.base64(), base64url: z.base64url() }),
  addresses: z.object({ v4: z.ipv4(), v6: z.ipv6(), mac: z.mac() }),
  networks: z.object({ v4: z.cidrv4(), v6: z.cidrv6() }),
  hostname: z.hostname(),
  telephone: z.e164(),
  JWT: z.jwt(),
  date: z.iso.date(),
  time: z.iso.time(),
  "time with precision": z.iso.time({ precision: 3 }),
  datetime: z.iso.datetime(),
  "datetime with offset": z.iso.datetime({ offset: true, precision: 0 }),
  "local datetime": z.iso.datetime({ local: true }),
  duration: z.iso.duration(),
  hash: z.hash("md5"),
  hex: z.hex().max(8),
  pattern: z.string().regex(/^[a-z]+\/[a-z]+$/i),
  "pattern with look-ahead": z.string().regex(/^(?=.*\d)(?!.*\s)[a-z\d]{4,8}$/),
  "several patterns": z.string().startsWith("a.").endsWith("z").includes("m").max(12),
  "lower case": z.string().lowercase().max(8),
  "template literal": z.templateLiteral([z.int(), z.enum(["px", "em"])]),
  number: z.object({ any: z.number(), share: z.number().min(0).max(1) }),
  "positive number": z.number().positive().lt(10),
  "multiple of a number": z.number().min(0).max(100).multipleOf(0.25),
  integers: z.object({ safe: z.int(), signed: z.int32(), unsigned: z.uint32() }),
  floats: z.object({ single: z.float32(), double: z.float64() }),
  boolean: z.boolean(),
  null: z.null(),
  any: z.any(),
  unknown: z.object({ a: z.unknown(), b: z.unknown().optional() }),
  "never in a property": z.object({ a: z.int(), b: z.never().optional() }),
  enum: z.enum(["a", "b"]),
  "enum of numbers": z.enum({ low: 1, high: 2 }),
  "literals of several types": z.literal(["a", 1, true, null]),
  "literal of one": z.literal(7),
  union: z.union([short, z.int(), z.null()]),
  "discriminated union": z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("cat"), lives: z.int().min(1).max(9) }),
    z.object({ kind: z.literal("dog"), barks: z.boolean() }),
  ]),
  "exclusive union": z.xor([z.boolean(), z.literal("neither")]),
  intersection: z.intersection(Person, z.object({ admin: z.boolean() })),
  "intersection with a union": z.intersection(
    Person,
    z.union([z.object({ a: z.boolean() }), z.object({ b: z.null() })]),
  ),
  array: z.array(z.boolean()).min(1).max(3),
  tuple: z.tuple([short, z.int()]),
  "tuple with rest": z.tuple([z.boolean()], z.null()),
  "tuple with optional items": z.tuple([z.boolean(), z.boolean().optional()]),
  record: z.record(z.string(), z.boolean()),
  "record by enum": z.record(z.enum(["a", "b"]), z.int()),
  "partial record by enum": z.partialRecord(z.enum(["a", "b"]), z.int()),
  "record by number": z.record(z.number(), z.boolean()),
  "record by pattern": z.record(z.string().regex(/^[a-z]{1,3}$/), z.boolean()),
  "loose record": z.looseRecord(z.string().regex(/^x-/), z.boolean()),
  nullable: z.object({ a: short.nullable(), b: Person.nullish() }),
  "optional and defaults": z.object({
    a: z.int().optional(),
    b: z.int().default(1),
    c: z.int().prefault(1),
    d: z.int().catch(1),
    e: z.int().readonly(),
  }),
  described: z.object({ a: short.describe("An A").meta({ examples: ["x"], title: "A" }) }),
  pipe: z.stringbool(),
  file: z.file(),
};

const schemas = {};
for (const [name, type] of Object.entries(types)) {
  schemas[name] = z.toJSONSchema(type);
}
// As clients ask for other dialects, and for what a parser takes instead of what it returns.
schemas["input of an object"] = z.toJSONSchema(types["optional and defaults"], { io: "input" });
schemas["input of a nested object"] = z.toJSONSchema(types.nested, { io: "input", reused: "ref" });
schemas["input of a pipe"] = z.toJSONSchema(z.object({ on: types.pipe }), { io: "input" });
schemas["draft 7"] = z.toJSONSchema(types.nested, { target: "draft-7", reused: "ref" });
schemas["tuple in draft 7"] = z.toJSONSchema(types["tuple with rest"], { target: "draft-7" });
schemas["bounds in draft 4"] = z.toJSONSchema(types["positive number"], { target: "draft-4" });
schemas["recursion in draft 4"] = z.toJSONSchema(Category, { target: "draft-4" });

console.log(JSON.stringify(schemas, null, 1));
