// What the C interface parses: the input is a descriptor's text up to the first NUL byte, then the
// fields and arrays of a gptqc_layer_codes. Arrays are exactly as long as the fields say.
#include <cstring>
#include <vector>

#include "gptqc/gptqc.h"
#include "runtime/core/Descriptor.h"
#include "tests/fuzz/FuzzTarget.h"

using namespace gptqc;
using namespace gptqc::fuzz;

namespace {

/// The rest of an input, value by value; zeros behind its end.
class Bytes {
public:
  Bytes(const uint8_t *data, size_t size) : data(data), left(size) {}
  template <typename T> T next() {
    T value = {};
    fill(&value, sizeof value);
    return value;
  }
  template <typename T> std::vector<T> array(int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    fill(values.data(), values.size() * sizeof(T));
    return values;
  }

private:
  void fill(void *to, size_t size) {
    const size_t count = std::min(size, left);
    if (count > 0)
      std::memcpy(to, data, count);
    data += count;
    left -= count;
  }
  const uint8_t *data;
  size_t left;
};

/// True for success; frees the error.
bool succeeded(gptqc_error *error) {
  if (!error)
    return true;
  require(gptqc_error_code(error) >= GPTQC_INVALID_ARGUMENT &&
              gptqc_error_code(error) <= GPTQC_INTERNAL,
          "an error has a code");
  checkMessage(gptqc_error_message(error));
  gptqc_error_free(error);
  return false;
}

void checkDescriptorText(const std::string &text, size_t capacity) {
  std::vector<char> canonical(capacity), all(GPTQC_DESCRIPTOR_SIZE), again(GPTQC_DESCRIPTOR_SIZE);
  const bool fits = succeeded(gptqc_descriptor_check(text.c_str(), capacity, canonical.data()));
  const bool valid = succeeded(gptqc_descriptor_check(text.c_str(), all.size(), all.data()));
  require(valid == succeeded(gptqc_descriptor_check(text.c_str(), 0, nullptr)),
          "GPTQC_DESCRIPTOR_SIZE suffices");
  if (!valid)
    return require(!fits, "room makes no descriptor valid");
  require(fits == (capacity == 0 || std::strlen(all.data()) < capacity), "room is all it takes");
  require(succeeded(gptqc_descriptor_check(all.data(), again.size(), again.data())) &&
              std::strcmp(all.data(), again.data()) == 0,
          "the canonical spelling is its own");
}

void checkLayer(Bytes input) {
  gptqc_layer_codes codes = {};
  codes.struct_size = sizeof codes;
  codes.bits = input.next<int16_t>();
  codes.silu_mul = input.next<uint8_t>() & 1;
  codes.n = input.next<uint8_t>();
  codes.k = input.next<uint8_t>();
  codes.group_size = input.next<int16_t>();
  codes.groups = input.next<uint8_t>();
  codes.act = input.next<uint8_t>() % 3;
  codes.out = input.next<uint8_t>() % 3;
  codes.scale_type = input.next<uint8_t>() % 3;
  const uint8_t given = input.next<uint8_t>();
  const std::vector<int32_t> index = input.array<int32_t>(codes.k);
  const std::vector<uint8_t> words = input.array<uint8_t>(codes.k * codes.n);
  const std::vector<uint8_t> zeros = input.array<uint8_t>(codes.groups * codes.n);
  const std::vector<uint16_t> scales = input.array<uint16_t>(codes.groups * codes.n);
  const std::vector<uint16_t> bias = input.array<uint16_t>(codes.n);
  codes.codes = words.data();
  codes.scales = scales.data();
  codes.group_index = given & 1 ? index.data() : nullptr;
  codes.zeros = given & 2 ? zeros.data() : nullptr;
  codes.bias = given & 4 ? bias.data() : nullptr;
  gptqc_layer *layer = nullptr;
  if (!succeeded(gptqc_layer_from_codes(&codes, &layer)))
    return require(layer == nullptr, "a refused layer is none");
  const Result<Descriptor> descriptor = Descriptor::parse(gptqc_layer_descriptor(layer));
  require(descriptor.ok() && descriptor->n == codes.n && descriptor->k == codes.k,
          "a layer has its descriptor");
  const std::vector<uint16_t> x(static_cast<size_t>(codes.k), 0x3c00);
  std::vector<uint16_t> y(static_cast<size_t>(descriptor->outputColumns()));
  require(
      succeeded(gptqc_layer_run_cpu(layer, x.data(), codes.k, 1, 1, y.data(), int64_t(y.size()))),
      "a layer runs");
  gptqc_layer_free(layer);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text = textOf(data, size);
  const size_t end = std::min(text.find('\0'), text.size());
  const std::string head(text.substr(0, end));
  checkDescriptorText(head, size % (GPTQC_DESCRIPTOR_SIZE + 1));
  gptqc_has_feature(head.c_str());
  if (end < size)
    checkLayer(Bytes(data + end + 1, size - end - 1));
  return 0;
}
