// Runs one job with Ollama's JavaScript client and prints its result as JSON.
//   node check.mjs URL MODEL JOB
import { Ollama } from "ollama";

const [host, model, job] = process.argv.slice(2);
const client = new Ollama({ host });
const messages = [{ role: "user", content: "hi" }];
const add = { type: "function", function: { name: "add", description: "", parameters: {} } };

async function collect(parts, pick) {
  let text = "";
  for await (const part of parts) text += pick(part) ?? "";
  return text;
}

const jobs = {
  chat: async () => (await client.chat({ model, messages })).message.content,
  chat_stream: async () =>
    collect(await client.chat({ model, messages, stream: true }), (part) => part.message.content),
  generate: async () => (await client.generate({ model, prompt: "hi" })).response,
  generate_stream: async () =>
    collect(await client.generate({ model, prompt: "hi", stream: true }), (part) => part.response),
  tools: async () => (await client.chat({ model, messages, tools: [add] })).message.tool_calls,
  format: async () =>
    JSON.parse((await client.chat({ model, messages, format: { type: "object" } })).message.content),
  embed: async () => (await client.embed({ model, input: ["a", "b"] })).embeddings.length,
  list: async () => (await client.list()).models.map((listed) => listed.name),
  show: async () => (await client.show({ model })).capabilities,
  ps: async () => (await client.ps()).models.length,
  version: async () => (await client.version()).version,
  pull: async () => (await client.pull({ model })).status,
  pull_stream: async () =>
    collect(await client.pull({ model, stream: true }), (part) => part.status + ";"),
  delete: async () => client.delete({ model }),
};

try {
  console.log(JSON.stringify({ result: await jobs[job]() }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message, status: error.status_code ?? null }));
}
