// Rows of token ids, as calibration and evaluation take them: from a safetensors or npy file.
#ifndef GPTQC_RUNTIME_MODEL_TOKENFILE_H
#define GPTQC_RUNTIME_MODEL_TOKENFILE_H

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

/// Rows of equal length.
struct TokenRows {
  int64_t rows = 0, length = 0;
  std::vector<int32_t> ids; ///< [rows, length]

  /// Rows first .. first + count - 1.
  std::span<const int32_t> part(int64_t first, int64_t count) const {
    return std::span(ids).subspan(size_t(first * length), size_t(count * length));
  }
};

/// Reads int32 or int64 ids of shape [rows, length], or [length] for one row. Of a .safetensors
/// file: the tensor `name`, else the only one of that kind. Of a .npy file (version 1 to 3,
/// C order): the array. Errors name the file and say what is in it.
Result<TokenRows> loadTokenRows(const std::filesystem::path &path, std::string_view name);

/// The first `rows` rows (0: all), cut to `length` tokens (0: as they are). InvalidArgument when
/// there are fewer rows or tokens than asked for.
Result<TokenRows> firstRows(const TokenRows &all, int64_t rows, int64_t length);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_TOKENFILE_H
