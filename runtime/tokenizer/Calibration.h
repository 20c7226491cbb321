// Calibration rows from whatever a user has: token ids, or text that the model's tokenizer reads.
#ifndef GPTQC_RUNTIME_TOKENIZER_CALIBRATION_H
#define GPTQC_RUNTIME_TOKENIZER_CALIBRATION_H

#include "runtime/model/TokenFile.h"
#include "runtime/tokenizer/Tokenizer.h"

namespace gptqc {

/// `samples` rows of `length` tokens (0: as many, and as long, as an id file has them; for text
/// 128 and 2048, or what the model was made for). Ids come from .safetensors (`name`) or .npy
/// files. Text comes from a .txt file (one document) or a .jsonl file (one JSON object with the key
/// "text" a line): documents one after the other, each behind its opening tokens, cut into
/// consecutive rows; the tokenizer is opened from `model` then. InvalidArgument when there are too
/// few tokens.
Result<TokenRows> loadCalibration(const std::filesystem::path &path,
                                  const std::filesystem::path &model, std::string_view name,
                                  int64_t samples, int64_t length);

} // namespace gptqc

#endif // GPTQC_RUNTIME_TOKENIZER_CALIBRATION_H
