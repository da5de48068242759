"""The OpenAI API as the Mistral.rs server speaks it. Pure: no engine, no socket, no clock."""
