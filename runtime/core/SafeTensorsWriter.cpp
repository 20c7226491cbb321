// Header first, then each tensor at the offset the header gave it.
#include "runtime/core/SafeTensorsWriter.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "runtime/core/TextForm.h"

namespace gptqc {

uint64_t TensorPlan::bytes() const {
  uint64_t bits = uint64_t(elementBits(type));
  for (int64_t size : shape)
    bits *= uint64_t(size);
  return bits / 8;
}

Result<std::unique_ptr<SafeTensorsWriter>>
SafeTensorsWriter::create(const std::filesystem::path &path, const std::vector<TensorPlan> &plan,
                          const std::map<std::string, std::string> &metadata) {
  std::vector<const TensorPlan *> order;
  for (const TensorPlan &tensor : plan)
    order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorPlan *a, const TensorPlan *b) {
    const int bitsA = elementBits(a->type), bitsB = elementBits(b->type);
    return bitsA != bitsB ? bitsA > bitsB : a->name < b->name;
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty())
    header["__metadata__"] = metadata;
  GPTQC_ASSIGN(AtomicFile file, AtomicFile::create(path));
  std::unique_ptr<SafeTensorsWriter> writer(new SafeTensorsWriter(std::move(file), path));
  uint64_t position = 0;
  for (const TensorPlan *tensor : order) {
    const uint64_t bytes = tensor->bytes();
    if (!writer->slots.emplace(tensor->name, Slot{position, bytes, false}).second)
      return makeError(Code::Internal, "{}: tensor '{}' is planned twice", path.string(),
                       quoteName(tensor->name));
    header[tensor->name] = {{"dtype", elementTypeName(tensor->type)},
                            {"shape", tensor->shape},
                            {"data_offsets", {position, position + bytes}}};
    position += bytes;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' '); // keeps the tensors 8-byte aligned
  const uint64_t length = text.size();
  GPTQC_TRY(writer->file.writeAt(0, &length, 8));
  GPTQC_TRY(writer->file.writeAt(8, text.data(), text.size()));
  for (auto &[name, slot] : writer->slots)
    slot.begin += 8 + length;
  return writer;
}

Status SafeTensorsWriter::write(std::string_view name, std::span<const uint8_t> bytes) {
  uint64_t begin = 0;
  {
    const std::lock_guard lock(mutex);
    const auto found = slots.find(name);
    if (found == slots.end() || found->second.written || found->second.bytes != bytes.size())
      return makeError(Code::Internal, "{}: tensor '{}' is not what was planned", path.string(),
                       quoteName(name));
    found->second.written = true;
    begin = found->second.begin;
  }
  return file.writeAt(begin, bytes.data(), bytes.size());
}

Status SafeTensorsWriter::finish() {
  for (const auto &[name, slot] : slots)
    if (!slot.written)
      return makeError(Code::Internal, "{}: tensor '{}' was never written", path.string(),
                       quoteName(name));
  return file.commit();
}

} // namespace gptqc
