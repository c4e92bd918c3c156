"""Models as llama.cpp reads them: one file with weights, tokenizer and chat template (GGUF). Needs the extra `gguf`."""
