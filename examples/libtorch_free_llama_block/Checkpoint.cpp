// A reader for well-formed files of the usual writers; gptqc itself checks every byte.
#include "Checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

std::string readText(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// What follows "key": in JSON.
std::optional<std::string> valueOf(const std::string &text, const std::string &key) {
  const std::size_t at = text.find('"' + key + '"');
  const std::size_t colon = at == std::string::npos ? at : text.find(':', at);
  if (colon == std::string::npos)
    return std::nullopt;
  return text.substr(text.find_first_not_of(" \n\t", colon + 1), 200);
}

std::optional<double> numberOf(const std::string &text, const std::string &key) {
  const std::optional<std::string> value = valueOf(text, key);
  return value ? std::optional(std::strtod(value->c_str(), nullptr)) : std::nullopt;
}

double numberOf(const std::string &text, const std::string &key, std::optional<double> otherwise) {
  const std::optional<double> value = numberOf(text, key);
  if (!value && !otherwise)
    throw std::runtime_error("config.json: no " + key);
  return value ? *value : *otherwise;
}

std::vector<int64_t> listOf(const std::string &text, const std::string &key) {
  std::vector<int64_t> values;
  const std::string list = valueOf(text, key).value_or("[]");
  const char *at = list.c_str() + 1;
  while (*at && *at != ']') {
    char *end = nullptr;
    values.push_back(std::strtoll(at, &end, 10));
    at = *end == ',' ? end + 1 : end;
    if (end == at && *at != ']')
      break;
  }
  return values;
}

/// Bits `first`..`first + bits` of a little-endian stream of words that are `stride` apart.
uint32_t codeAt(const uint32_t *words, int64_t stride, int64_t first, int bits) {
  const int64_t word = first / 32;
  uint64_t pair = words[word * stride];
  if (first % 32 + bits > 32)
    pair |= uint64_t(words[(word + 1) * stride]) << 32;
  return uint32_t(pair >> (first % 32)) & ((1u << bits) - 1);
}

} // namespace

double fromHalf(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double magnitude =
      exponent ? std::ldexp(mantissa + 1024, exponent - 25) : std::ldexp(mantissa, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

double fromBfloat(uint16_t bits) {
  const uint32_t wide = uint32_t(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

uint16_t toHalf(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  int exponent = 0;
  if (value == 0)
    return sign;
  std::frexp(value, &exponent); // |value| is 2^(exponent - 1) to 2^exponent
  const int scale = std::max(exponent - 11, -24);
  const double steps = std::nearbyint(std::ldexp(std::fabs(value), -scale));
  // With the hidden bit in `steps`, carries go into the exponent by themselves.
  const double bits = steps + 1024 * double(scale + 24);
  return uint16_t(sign | (bits < 0x7c00 ? uint16_t(bits) : uint16_t(0x7c00)));
}

uint16_t toBfloat(double value) {
  const auto single = float(value);
  uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof bits);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

std::vector<double> Tensor::numbers() const {
  std::vector<double> values;
  if (dtype == "F32") {
    for (std::size_t i = 0; i < bytes.size(); i += 4) {
      float value = 0;
      std::memcpy(&value, &bytes[i], 4);
      values.push_back(value);
    }
    return values;
  }
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    uint16_t value = 0;
    std::memcpy(&value, &bytes[i], 2);
    values.push_back(dtype == "BF16" ? fromBfloat(value) : fromHalf(value));
  }
  return values;
}

std::vector<uint32_t> Tensor::words() const {
  std::vector<uint32_t> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), values.size() * 4);
  return values;
}

Matrix Dense::run(const Matrix &x) const {
  const int64_t tokens = int64_t(x.size()) / inputs;
  Matrix y(std::size_t(tokens * outputs));
  for (int64_t t = 0; t < tokens; ++t) {
    double *row = &y[std::size_t(t * outputs)];
    for (int64_t n = 0; n < outputs && !bias.empty(); ++n)
      row[n] = bias[std::size_t(n)];
    for (int64_t k = 0; k < inputs; ++k)
      for (int64_t n = 0; n < outputs; ++n)
        row[n] += x[std::size_t(t * inputs + k)] * w[std::size_t(k * outputs + n)];
  }
  return y;
}

Folder::Folder(std::string given)
    : path(std::move(given)), config(readText(path + "/config.json")) {
  if (valueOf(config, "model_type").value_or("").rfind("\"llama\"", 0) != 0)
    throw std::runtime_error(path + ": no model of type llama");
  zerosMinusOne =
      (config + readText(path + "/quantize_config.json")).find("gptq_v2") == std::string::npos;
}

Shape Folder::shape() const {
  Shape shape;
  shape.hidden = int64_t(numberOf(config, "hidden_size", {}));
  shape.heads = int64_t(numberOf(config, "num_attention_heads", {}));
  shape.kvHeads = int64_t(numberOf(config, "num_key_value_heads", double(shape.heads)));
  const int64_t usual = shape.hidden / shape.heads;
  shape.headDim = int64_t(numberOf(config, "head_dim", double(usual)));
  shape.epsilon = numberOf(config, "rms_norm_eps", {});
  shape.theta = numberOf(config, "rope_theta", 10000.0);
  return shape;
}

Norms Folder::norms(int block) const {
  const std::string prefix = "model.layers." + std::to_string(block) + ".";
  return {tensor(prefix + "input_layernorm.weight").numbers(),
          tensor(prefix + "post_attention_layernorm.weight").numbers()};
}

Dense Folder::dequantize(const std::string &layer) const {
  const Tensor qweight = tensor(layer + ".qweight"), qzeros = tensor(layer + ".qzeros");
  const Tensor scales = tensor(layer + ".scales");
  const std::vector<uint32_t> words = qweight.words(), zeroWords = qzeros.words();
  const std::vector<double> scale = scales.numbers();
  Dense dense;
  dense.outputs = qweight.shape.at(1);
  const int64_t groups = scales.shape.at(0);
  const int bits = int(qzeros.shape.at(1) * 32 / dense.outputs);
  if (bits == 5 || bits == 6 || bits == 7)
    throw std::runtime_error(layer + ": words with bit planes are not read here");
  dense.inputs = qweight.shape.at(0) * 32 / bits;
  const std::optional<Tensor> index = find(layer + ".g_idx");
  const std::vector<uint32_t> groupOf = index ? index->words() : std::vector<uint32_t>();
  for (int64_t k = 0; k < dense.inputs; ++k) {
    const int64_t g = index ? groupOf[std::size_t(k)] : k / (dense.inputs / groups);
    const uint32_t *zeros = &zeroWords[std::size_t(g * qzeros.shape[1])];
    for (int64_t n = 0; n < dense.outputs; ++n) {
      const uint32_t stored = codeAt(zeros, 1, n * bits, bits);
      const uint32_t zero = (stored + (zerosMinusOne ? 1 : 0)) & ((1u << bits) - 1);
      const uint32_t code = codeAt(&words[std::size_t(n)], dense.outputs, k * bits, bits);
      dense.w.push_back(scale[std::size_t(g * dense.outputs + n)] * (double(code) - zero));
    }
  }
  if (const std::optional<Tensor> bias = find(layer + ".bias"))
    dense.bias = bias->numbers();
  return dense;
}

std::optional<Tensor> Folder::find(const std::string &name) const {
  for (const auto &entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() != ".safetensors")
      continue;
    std::ifstream file(entry.path(), std::ios::binary);
    uint64_t length = 0;
    file.read(reinterpret_cast<char *>(&length), 8);
    std::string header(std::size_t(length), ' ');
    file.read(header.data(), std::streamsize(length));
    const std::size_t at = header.find('"' + name + '"');
    if (!file || at == std::string::npos)
      continue;
    const std::string facts = header.substr(at + name.size() + 2, header.find('}', at) - at);
    Tensor tensor;
    const std::string dtype = valueOf(facts, "dtype").value_or("\"\"");
    tensor.dtype = dtype.substr(1, dtype.find('"', 1) - 1);
    tensor.shape = listOf(facts, "shape");
    const std::vector<int64_t> range = listOf(facts, "data_offsets");
    tensor.bytes.resize(std::size_t(range.at(1) - range.at(0)));
    file.seekg(std::streamoff(8 + length) + range[0]);
    file.read(tensor.bytes.data(), std::streamsize(tensor.bytes.size()));
    if (file)
      return tensor;
  }
  return std::nullopt;
}

Tensor Folder::tensor(const std::string &name) const {
  std::optional<Tensor> found = find(name);
  if (!found)
    throw std::runtime_error(path + ": no tensor " + name);
  return std::move(*found);
}
