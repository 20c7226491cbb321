// The hostile-header checks. Offsets are trusted only after all of them passed.
#include "runtime/core/SafeTensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/core/TextForm.h"

namespace gptqc {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

using json = nlohmann::json;

struct TypeFacts {
  std::string_view name;
  int bits;
};
constexpr std::array<TypeFacts, 20> kTypes = {{
    {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"BOOL", 8},    {"U8", 8},
    {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},
    {"U16", 16}, {"F16", 16},    {"BF16", 16},   {"I32", 32},    {"U32", 32},
    {"F32", 32}, {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
}};

/// Parses without exceptions and reports the first key that occurs twice in one object (the format
/// has two levels: tensor names, then fields). Values nested deeper than any valid header are
/// dropped.
json parseChecked(std::string_view text, std::string &duplicate) {
  std::set<std::string> names, fields;
  const auto callback = [&](int depth, json::parse_event_t event, json &value) {
    if (event == json::parse_event_t::object_start && depth == 1)
      fields.clear();
    if (event == json::parse_event_t::key && depth <= 2 && duplicate.empty()) {
      const std::string &key = value.get_ref<const std::string &>();
      if (!(depth == 1 ? names : fields).insert(key).second)
        duplicate = key;
    }
    return depth <= 4;
  };
  return json::parse(text.begin(), text.end(), callback, false);
}

Status parseShape(const json &shape, TensorInfo &info, uint64_t &bits) {
  bits = uint64_t(elementBits(info.type));
  for (const json &dimension : shape) {
    if (!dimension.is_number_unsigned() || dimension.get<uint64_t>() > uint64_t(INT64_MAX))
      return dataCorrupt("shape {} is no list of sizes", shape.dump());
    const uint64_t size = dimension.get<uint64_t>();
    if (__builtin_mul_overflow(bits, size, &bits))
      return dataCorrupt("shape {} is larger than any file", shape.dump());
    info.shape.push_back(int64_t(size));
  }
  return Status();
}

Status parseTensor(const json &entry, TensorInfo &info, uint64_t dataBytes) {
  if (!entry.is_object())
    return dataCorrupt("its header entry is no object");
  const auto type = entry.find("dtype"), shape = entry.find("shape"),
             offsets = entry.find("data_offsets");
  if (type == entry.end() || !type->is_string() || shape == entry.end() || !shape->is_array() ||
      offsets == entry.end() || !offsets->is_array() || offsets->size() != 2)
    return dataCorrupt("its header entry needs dtype, shape and two data_offsets");
  const std::string &typeName = type->get_ref<const std::string &>();
  const auto facts = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const TypeFacts &t) { return t.name == typeName; });
  if (facts == kTypes.end())
    return dataCorrupt("unknown dtype '{}'", quoteName(typeName));
  info.type = ElementType(facts - kTypes.begin());
  uint64_t bits = 0;
  GPTQC_TRY(parseShape(*shape, info, bits));
  const json &first = (*offsets)[0], &last = (*offsets)[1];
  if (!first.is_number_unsigned() || !last.is_number_unsigned())
    return dataCorrupt("data_offsets {} are no byte offsets", offsets->dump());
  const uint64_t begin = first.get<uint64_t>(), end = last.get<uint64_t>();
  if (begin > end || end > dataBytes)
    return dataCorrupt(
        "data_offsets [{},{}] lie outside the {} bytes of data; the file is truncated "
        "or damaged, fetch it again",
        begin, end, dataBytes);
  info.begin = begin;
  info.bytes = end - begin;
  if (bits % 8 != 0 || bits / 8 != info.bytes)
    return dataCorrupt("{} needs {} bytes, data_offsets [{},{}] give {}", info.print(),
                       (bits + 7) / 8, begin, end, info.bytes);
  return Status();
}

Status checkContiguous(const std::vector<TensorInfo> &infos, uint64_t dataBytes) {
  std::vector<const TensorInfo *> order;
  for (const TensorInfo &info : infos)
    order.push_back(&info);
  std::sort(order.begin(), order.end(), [](const TensorInfo *a, const TensorInfo *b) {
    return a->begin != b->begin ? a->begin < b->begin : a->bytes < b->bytes;
  });
  uint64_t position = 0;
  for (const TensorInfo *info : order) {
    if (info->begin < position)
      return dataCorrupt("tensor '{}' overlaps the one before it at byte {} of the data",
                         quoteName(info->name), info->begin);
    if (info->begin > position)
      return dataCorrupt("{} bytes before tensor '{}' belong to no tensor", info->begin - position,
                         quoteName(info->name));
    position += info->bytes;
  }
  if (position != dataBytes)
    return dataCorrupt("the header describes {} bytes of tensors, the file holds {}", position,
                       dataBytes);
  return Status();
}

} // namespace

std::string_view elementTypeName(ElementType type) { return kTypes[size_t(type)].name; }
int elementBits(ElementType type) { return kTypes[size_t(type)].bits; }

int64_t TensorInfo::elements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::string TensorInfo::print() const {
  return fmt::format("{} [{}]", elementTypeName(type), fmt::join(shape, ","));
}

Result<std::shared_ptr<const SafeTensorsFile>>
SafeTensorsFile::open(const std::filesystem::path &path) {
  std::shared_ptr<SafeTensorsFile> file(new SafeTensorsFile);
  file->filePath = path;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return makeError(errno == ENOENT ? Code::NotFound : Code::IoError, "cannot open {}: {}",
                     path.string(), std::generic_category().message(errno));
  struct stat info = {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return makeError(Code::IoError, "{} is no regular file", path.string());
  }
  const uint64_t size = uint64_t(info.st_size);
  if (size < 8) {
    ::close(fd);
    return dataCorrupt("{}: {} bytes are too few for a safetensors file; fetch it again",
                       path.string(), size);
  }
  void *mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (mapping == MAP_FAILED)
    return makeError(Code::IoError, "cannot map {}: {}", path.string(),
                     std::generic_category().message(error));
  file->mapping = mapping;
  file->mappedBytes = size;
  const auto *bytes = static_cast<const uint8_t *>(mapping);
  uint64_t headerBytes = 0;
  std::memcpy(&headerBytes, bytes, 8);
  if (headerBytes > kMaxHeaderBytes)
    return dataCorrupt("{}: header length {} is above the {} that the format allows; is it a "
                       "safetensors file?",
                       path.string(), headerBytes, kMaxHeaderBytes);
  if (headerBytes > size - 8)
    return dataCorrupt(
        "{}: the header should have {} bytes, the file ends after {}; fetch it again",
        path.string(), headerBytes, size - 8);
  file->data = bytes + 8 + headerBytes;
  const std::string_view header(reinterpret_cast<const char *>(bytes + 8), headerBytes);
  GPTQC_TRY(file->parseHeader(header, size - 8 - headerBytes).withContext(path.string()));
  return std::shared_ptr<const SafeTensorsFile>(std::move(file));
}

SafeTensorsFile::~SafeTensorsFile() {
  if (mapping)
    ::munmap(mapping, mappedBytes);
}

Status SafeTensorsFile::parseHeader(std::string_view header, uint64_t dataBytes) {
  std::string duplicate;
  const json root = parseChecked(header, duplicate);
  if (root.is_discarded() || !root.is_object())
    return dataCorrupt("the safetensors header is no JSON object; the file is damaged, fetch it "
                       "again");
  if (!duplicate.empty())
    return dataCorrupt("the safetensors header has '{}' twice", quoteName(duplicate));
  infos.reserve(root.size());
  for (const auto &[name, entry] : root.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object())
        return dataCorrupt("__metadata__ is no object");
      for (const auto &[key, value] : entry.items()) {
        if (!value.is_string())
          return dataCorrupt("__metadata__ '{}' is no string", quoteName(key));
        meta[key] = value.get<std::string>();
      }
      continue;
    }
    TensorInfo info;
    info.name = name;
    GPTQC_TRY(parseTensor(entry, info, dataBytes)
                  .withContext(fmt::format("tensor '{}'", quoteName(name))));
    infos.push_back(std::move(info));
  }
  return checkContiguous(infos, dataBytes);
}

const TensorInfo *SafeTensorsFile::find(std::string_view name) const {
  const auto found = std::lower_bound(
      infos.begin(), infos.end(), name,
      [](const TensorInfo &info, std::string_view key) { return info.name < key; });
  return found != infos.end() && found->name == name ? &*found : nullptr;
}

} // namespace gptqc
