// The two file formats, reduced to a shape and the bytes of integers.
#include "runtime/model/TokenFile.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <optional>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/SafeTensors.h"

namespace gptqc {
namespace {

struct RawRows {
  std::vector<int64_t> shape;
  std::span<const uint8_t> bytes;
  size_t width = 4; ///< bytes of an id
};

Result<TokenRows> convert(const RawRows &raw) {
  TokenRows tokens;
  tokens.rows = raw.shape.size() == 2 ? raw.shape[0] : 1;
  tokens.length = raw.shape.back();
  if (tokens.rows < 1 || tokens.length < 1)
    return dataCorrupt("it holds no tokens; its shape is [{}]", fmt::join(raw.shape, ","));
  for (size_t i = 0; i < raw.bytes.size(); i += raw.width) {
    int64_t id = 0;
    int32_t narrow = 0;
    if (raw.width == 8)
      std::memcpy(&id, raw.bytes.data() + i, 8);
    else
      std::memcpy(&narrow, raw.bytes.data() + i, 4), id = narrow;
    if (id < 0 || id > INT32_MAX)
      return dataCorrupt("{} at position {} is no token id", id, i / raw.width);
    tokens.ids.push_back(int32_t(id));
  }
  return tokens;
}

bool holdsTokens(const TensorInfo &info) {
  return (info.type == ElementType::I32 || info.type == ElementType::I64) &&
         (info.shape.size() == 1 || info.shape.size() == 2);
}

Result<TokenRows> fromSafeTensors(const std::filesystem::path &path, std::string_view name) {
  GPTQC_ASSIGN(const std::shared_ptr<const SafeTensorsFile> file, SafeTensorsFile::open(path));
  std::vector<const TensorInfo *> candidates;
  std::string contents;
  for (const TensorInfo &info : file->tensors()) {
    if (holdsTokens(info))
      candidates.push_back(&info);
    if (candidates.size() < 9) // enough to recognize the file
      contents +=
          fmt::format("{}{} {}", contents.empty() ? "" : ", ", quoteName(info.name), info.print());
  }
  const TensorInfo *chosen = file->find(name);
  if (!chosen && candidates.size() == 1)
    chosen = candidates.front();
  if (!chosen || !holdsTokens(*chosen))
    return makeError(Code::NotFound,
                     "{}: no tensor '{}' of I32 or I64 [rows,tokens], nor a single other one; it "
                     "holds {}",
                     path.string(), name, contents.empty() ? "nothing" : contents);
  Result<TokenRows> tokens =
      convert({chosen->shape, file->bytes(*chosen), size_t(elementBits(chosen->type) / 8)});
  GPTQC_TRY(tokens.status().withContext(
      fmt::format("{}: tensor '{}'", path.string(), quoteName(chosen->name))));
  return tokens;
}

/// The text after `key` in the header of an npy file, which is a Python dictionary.
std::string_view entryOf(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  return at == std::string_view::npos ? std::string_view() : header.substr(at + key.size());
}

/// "(128, 512), ..." to sizes; nothing for anything else.
std::optional<std::vector<int64_t>> parseShape(std::string_view text) {
  std::vector<int64_t> shape;
  const size_t open = text.find('('), close = text.find(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return std::nullopt;
  int64_t value = -1;
  for (const char c : text.substr(open + 1, close - open)) {
    if (c >= '0' && c <= '9') {
      value = (value < 0 ? 0 : value) * 10 + (c - '0');
      if (value > INT32_MAX)
        return std::nullopt;
    } else if (c == ',' || c == ')') {
      if (value >= 0)
        shape.push_back(value);
      value = -1;
    } else if (c != ' ' && c != 'L') {
      return std::nullopt;
    }
  }
  return shape;
}

Result<TokenRows> parseNpy(std::span<const uint8_t> file) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  if (file.size() < 12 || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0)
    return dataCorrupt("it is no npy file");
  const size_t lengthBytes = file[6] == 1 ? 2 : 4, start = 8 + lengthBytes;
  uint32_t headerBytes = 0;
  std::memcpy(&headerBytes, file.data() + 8, lengthBytes);
  if (file[6] < 1 || file[6] > 3 || headerBytes > file.size() - start)
    return dataCorrupt("its header is damaged; write it again with numpy.save");
  const std::string_view header(reinterpret_cast<const char *>(file.data() + start), headerBytes);
  RawRows raw;
  const std::string_view type = entryOf(header, "'descr':");
  const bool narrow = type.find("'<i4'") < 4, wide = type.find("'<i8'") < 4;
  if (!narrow && !wide)
    return dataCorrupt("its elements are no int32 or int64; convert it with numpy.astype('int32')");
  if (entryOf(header, "'fortran_order':").find("True") < 3)
    return dataCorrupt("it is in Fortran order; write it with numpy.ascontiguousarray");
  const std::optional<std::vector<int64_t>> shape = parseShape(entryOf(header, "'shape':"));
  if (!shape || shape->empty() || shape->size() > 2)
    return dataCorrupt("its shape is not [rows,tokens]");
  raw.shape = *shape;
  raw.width = narrow ? 4 : 8;
  raw.bytes = file.subspan(start + headerBytes);
  const int64_t elements = raw.shape.size() == 2 ? raw.shape[0] * raw.shape[1] : raw.shape[0];
  if (uint64_t(elements) != raw.bytes.size() / raw.width || raw.bytes.size() % raw.width != 0)
    return dataCorrupt("its shape [{}] needs {} bytes, it holds {}; it is truncated or damaged",
                       fmt::join(raw.shape, ","), elements * int64_t(raw.width), raw.bytes.size());
  return convert(raw);
}

Result<TokenRows> fromNpy(const std::filesystem::path &path) {
  GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(path));
  Result<TokenRows> tokens = parseNpy(bytes);
  GPTQC_TRY(tokens.status().withContext(path.string()));
  return tokens;
}

} // namespace

Result<TokenRows> loadTokenRows(const std::filesystem::path &path, std::string_view name) {
  if (path.extension() == ".npy")
    return fromNpy(path);
  if (path.extension() == ".safetensors")
    return fromSafeTensors(path, name);
  return makeError(Code::Unsupported, "{}: token ids are read from .safetensors or .npy files",
                   path.string());
}

Result<TokenRows> firstRows(const TokenRows &all, int64_t rows, int64_t length) {
  TokenRows part;
  part.rows = rows > 0 ? rows : all.rows;
  part.length = length > 0 ? length : all.length;
  if (part.rows > all.rows || part.length > all.length)
    return invalidArgument("{} rows of {} tokens are asked for, there are {} rows of {}", part.rows,
                           part.length, all.rows, all.length);
  for (int64_t row = 0; row < part.rows; ++row) {
    const std::span<const int32_t> ids = all.part(row, 1).first(size_t(part.length));
    part.ids.insert(part.ids.end(), ids.begin(), ids.end());
  }
  return part;
}

} // namespace gptqc
