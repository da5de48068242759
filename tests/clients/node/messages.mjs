// Runs one job with Anthropic's JavaScript client and prints its result as JSON.
//   node messages.mjs URL MODEL JOB
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, model, job] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey: "any", maxRetries: 0 });
const asked = { model, max_tokens: 50, messages: [{ role: "user", content: "hi" }] };
const add = { name: "add", description: "", input_schema: { type: "object" } };
const tools = { ...asked, tools: [add], tool_choice: { type: "any" } };

// What the client has put together, without what only this run has.
const told = ({ content, stop_reason, usage }) => ({ content, stop_reason, usage });

const jobs = {
  message: async () => told(await client.messages.create(asked)),
  stream: async () => told(await client.messages.stream(asked).finalMessage()),
  text: async () => client.messages.stream(asked).finalText(),
  tools: async () => told(await client.messages.create(tools)),
  tools_stream: async () => told(await client.messages.stream(tools).finalMessage()),
};

try {
  console.log(JSON.stringify({ result: await jobs[job]() }));
} catch (error) {
  const { status = null, error: body = null } = error;
  console.log(JSON.stringify({ error: error.constructor.name, status, body }));
}
