// Byte-level BPE as tokenizer.json describes it: GPT-2, OPT, Llama 3, Qwen, and the bundled models.
#ifndef GPTQC_RUNTIME_TOKENIZER_BYTEPAIR_H
#define GPTQC_RUNTIME_TOKENIZER_BYTEPAIR_H

#include "runtime/tokenizer/Tokenizer.h"

namespace gptqc {

/// Reads `folder`/tokenizer.json. Unsupported naming what is not byte-level BPE (model, normalizer,
/// pre-tokenizer), DataCorrupt for a damaged file.
Result<std::shared_ptr<const Tokenizer>> openBytePair(const std::filesystem::path &folder);

} // namespace gptqc

#endif // GPTQC_RUNTIME_TOKENIZER_BYTEPAIR_H
