// Tokenizers of Llama 2, Mistral and others that come as tokenizer.model.
#ifndef GPTQC_RUNTIME_TOKENIZER_SENTENCEPIECE_H
#define GPTQC_RUNTIME_TOKENIZER_SENTENCEPIECE_H

#include "runtime/tokenizer/Tokenizer.h"

namespace gptqc {

/// Reads `folder`/tokenizer.model through the plugin libgptqc_sentencepiece.so, which is built
/// where SentencePiece is installed and opened here. NotFound when there is no plugin, DataCorrupt
/// for a damaged file.
Result<std::shared_ptr<const Tokenizer>> openSentencePiece(const std::filesystem::path &folder);

} // namespace gptqc

#endif // GPTQC_RUNTIME_TOKENIZER_SENTENCEPIECE_H
