// What the configuration asks for against what the files hold, and the reading of weights.
#include "runtime/model/Model.h"

#include <cmath>
#include <cstring>

#include "runtime/checkpoint/FloatTensor.h"
#include "runtime/core/Float16.h"
#include "runtime/core/Parallel.h"
#include "runtime/cpu/Dequantize.h"

namespace gptqc {
namespace {

Status readConfig(const ConfigReader &reader, const Architecture &architecture,
                  ModelConfig &facts) {
  GPTQC_ASSIGN(facts.hidden, reader.size("hidden_size"));
  GPTQC_ASSIGN(facts.blocks, reader.size("num_hidden_layers"));
  GPTQC_ASSIGN(facts.heads, reader.size("num_attention_heads"));
  GPTQC_ASSIGN(facts.vocabulary, reader.size("vocab_size"));
  GPTQC_ASSIGN(facts.positions, reader.size("max_position_embeddings"));
  GPTQC_ASSIGN(facts.tiedHead, reader.flag("tie_word_embeddings", false));
  GPTQC_ASSIGN(facts.endTokens, reader.integers("eos_token_id"));
  GPTQC_ASSIGN(const std::vector<int32_t> begin, reader.integers("bos_token_id"));
  if (!begin.empty())
    facts.beginToken = begin.front();
  GPTQC_TRY(architecture.read(reader, facts));
  if (facts.headDim < 1 || facts.kvHeads < 1 || facts.heads % facts.kvHeads != 0 ||
      (facts.rope && facts.headDim % 2 != 0))
    return dataCorrupt("config.json: {} heads of {} columns with {} key/value heads do not fit",
                       facts.heads, facts.headDim, facts.kvHeads);
  return Status();
}

/// generation_config.json names more end tokens than config.json for models that chat.
Status readEndTokens(const std::filesystem::path &directory, ModelConfig &facts) {
  GPTQC_ASSIGN(const std::optional<nlohmann::ordered_json> object,
               readJsonObject(directory / "generation_config.json"));
  if (!object)
    return Status();
  GPTQC_ASSIGN(const std::vector<int32_t> ends, ConfigReader(*object).integers("eos_token_id"));
  if (!ends.empty())
    facts.endTokens = ends;
  return Status();
}

/// Whether no exponent has all bits set.
template <typename Bits> bool allFinite(std::span<const uint8_t> bytes, Bits exponent) {
  bool found = false;
  for (size_t i = 0; i < bytes.size() / sizeof(Bits); ++i) {
    Bits bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    found |= (bits & exponent) == exponent;
  }
  return !found;
}

/// False for types that are no float, too.
bool allFinite(const TensorRef &tensor) {
  switch (tensor.info->type) {
  case ElementType::F16:
    return allFinite<uint16_t>(tensor.bytes(), 0x7c00);
  case ElementType::BF16:
    return allFinite<uint16_t>(tensor.bytes(), 0x7f80);
  case ElementType::F32:
    return allFinite<uint32_t>(tensor.bytes(), 0x7f800000);
  default:
    return false;
  }
}

Status checkFinite(std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      return dataCorrupt("element {} is {}; fetch the model again", i, values[i]);
  return Status();
}

} // namespace

Matrix OutputHead::logits(const CpuContext &cpu, const ModelConfig &config,
                          MatrixRef<const float> x) const {
  Matrix normalized(x.rows, x.columns), result(x.rows, linear.weight.rows);
  applyNorm(cpu, config.norm, config.normEpsilon, norm, x, normalized.ref());
  applyLinear(cpu, linear, normalized.ref(), result.ref());
  return result;
}

Result<Model> Model::open(const std::filesystem::path &directory) {
  Model model;
  GPTQC_ASSIGN(model.hf, HfFolder::open(directory));
  const std::string where = directory.string();
  Result<const Architecture *> architecture = Architecture::forModelType(model.hf.modelType());
  GPTQC_TRY(architecture.status().withContext(where));
  model.architecture = *architecture;
  model.modules = ModuleTable::forModelType(model.hf.modelType());
  GPTQC_TRY(readConfig(ConfigReader(model.hf.config()), *model.architecture, model.facts)
                .withContext(where));
  GPTQC_TRY(readEndTokens(directory, model.facts));
  Result<Checkpoint> checkpoint = Checkpoint::open(directory);
  if (checkpoint.ok())
    model.checkpoint = std::move(*checkpoint);
  else if (checkpoint.status().code() != Code::NotFound)
    return checkpoint.status();
  GPTQC_TRY(model.checkTensors().withContext(where));
  return model;
}

std::string Model::inBlock(int64_t block, std::string_view name) const {
  return fmt::format("{}{}.{}", modules->prefix, block, name);
}

std::string Model::moduleName(int64_t block, Role role) const {
  const size_t index = size_t(role) - (!facts.gated && role == Role::Down ? 1 : 0);
  return inBlock(block, modules->modules[index]);
}

int64_t Model::blockBytes(WeightForm form) const {
  int64_t bytes = 0;
  for (int stage = 0; stage < kStages; ++stage)
    for (const Role role : rolesOf(facts, stage)) {
      const bool packed =
          form == WeightForm::Packed && checkpoint && checkpoint->find(moduleName(0, role));
      const int64_t bits = packed ? checkpoint->find(moduleName(0, role))->descriptor.bits : 32;
      bytes += facts.rows(role) * facts.columns(role) * bits / 8;
    }
  return bytes;
}

Status Model::checkTensor(const std::string &name, const std::vector<int64_t> &shape) const {
  const TensorRef *tensor = hf.find(name);
  if (!tensor)
    return makeError(Code::NotFound, "tensor {} is missing; fetch the model again", name);
  if (tensor->info->shape != shape)
    return dataCorrupt("tensor {} is {}, config.json asks for [{}]", name, tensor->info->print(),
                       fmt::join(shape, ","));
  return Status();
}

Status Model::checkLinear(const std::string &module, int64_t rows, int64_t columns,
                          bool bias) const {
  const LayerInfo *layer = checkpoint ? checkpoint->find(module) : nullptr;
  if (layer && (layer->descriptor.n != rows || layer->descriptor.k != columns))
    return dataCorrupt("layer {} is {} x {}, config.json asks for {} x {}", module,
                       layer->descriptor.n, layer->descriptor.k, rows, columns);
  if (!layer)
    GPTQC_TRY(checkTensor(module + ".weight", {rows, columns}));
  return bias || hf.find(module + ".bias") ? checkTensor(module + ".bias", {rows}) : Status();
}

Status Model::checkNorm(const std::string &module, int64_t columns, bool bias) const {
  if (!facts.normWeights)
    return Status();
  GPTQC_TRY(checkTensor(module + ".weight", {columns}));
  return bias ? checkTensor(module + ".bias", {columns}) : Status();
}

Status Model::checkBlock(int64_t index) const {
  for (int stage = 0; stage < kStages; ++stage)
    for (const Role role : rolesOf(facts, stage))
      GPTQC_TRY(checkLinear(moduleName(index, role), facts.rows(role), facts.columns(role),
                            facts.hasBias(role)));
  const bool bias = facts.norm == NormKind::Layer;
  for (const std::string_view norm : {architecture->attentionNorm, architecture->mlpNorm})
    GPTQC_TRY(checkNorm(inBlock(index, norm), facts.hidden, bias));
  if (facts.headNorm)
    for (const std::string_view norm : {architecture->queryNorm, architecture->keyNorm})
      GPTQC_TRY(checkNorm(inBlock(index, norm), facts.headDim, false));
  return Status();
}

Status Model::checkTensors() const {
  const std::string embedding = std::string(architecture->embedding) + ".weight";
  GPTQC_TRY(checkTensor(embedding, {facts.vocabulary, facts.hidden}));
  if (!architecture->positions.empty())
    GPTQC_TRY(checkTensor(std::string(architecture->positions) + ".weight",
                          {facts.positions + architecture->positionOffset, facts.hidden}));
  for (int64_t block = 0; block < facts.blocks; ++block)
    GPTQC_TRY(checkBlock(block));
  GPTQC_TRY(
      checkNorm(std::string(architecture->finalNorm), facts.hidden, facts.norm == NormKind::Layer));
  return facts.tiedHead
             ? Status()
             : checkLinear(std::string(architecture->head), facts.vocabulary, facts.hidden, false);
}

Result<std::vector<float>> Model::load(const std::string &tensor) const {
  Result<std::vector<float>> values = loadFloats(*hf.find(tensor));
  const Status status = values.ok() ? checkFinite(*values) : values.status();
  GPTQC_TRY(status.withContext(fmt::format("{}: tensor {}", hf.directory().string(), tensor)));
  return values;
}

Result<LinearWeights> Model::loadQuantized(const LayerInfo &layer, WeightForm form) const {
  LinearWeights linear;
  linear.name = layer.name;
  GPTQC_ASSIGN(QuantizedMatrix matrix, checkpoint->loadLayer(layer));
  std::vector<float> scales;
  for (const uint16_t bits : matrix.scales)
    scales.push_back(toFloat(bits, matrix.descriptor.scales));
  GPTQC_TRY(checkFinite(scales).withContext(
      fmt::format("{}: tensor {}.scales", hf.directory().string(), layer.name)));
  if (form == WeightForm::Packed) {
    GPTQC_ASSIGN(linear.packed, PackedLinear::create(matrix));
    return linear;
  }
  if (form == WeightForm::Stored)
    linear.codes = std::make_shared<const QuantizedMatrix>(std::move(matrix));
  else
    linear.weight = dequantize(matrix);
  return linear;
}

Result<LinearWeights> Model::loadLinear(const std::string &module, WeightForm form) const {
  LinearWeights linear;
  if (const LayerInfo *layer = checkpoint ? checkpoint->find(module) : nullptr) {
    GPTQC_ASSIGN(linear, loadQuantized(*layer, form));
  } else if (const TensorRef &tensor = *hf.find(module + ".weight");
             form == WeightForm::Stored && allFinite(tensor)) {
    linear.name = module;
    linear.stored = tensor;
  } else {
    const std::string name = module + ".weight";
    linear.name = module;
    GPTQC_ASSIGN(linear.weight.values, load(name));
    linear.weight.rows = hf.find(name)->info->shape[0];
    linear.weight.columns = hf.find(name)->info->shape[1];
  }
  if (!linear.packed && !linear.codes && hf.find(module + ".bias")) {
    GPTQC_ASSIGN(linear.bias, load(module + ".bias"));
  }
  return linear;
}

Result<Norm> Model::loadNorm(const std::string &module) const {
  Norm norm;
  if (!facts.normWeights)
    return norm;
  GPTQC_ASSIGN(norm.weight, load(module + ".weight"));
  if (facts.norm == NormKind::Layer) {
    GPTQC_ASSIGN(norm.bias, load(module + ".bias"));
  }
  return norm;
}

Result<Block> Model::loadBlock(int64_t index, int threads, WeightForm form) const {
  Block block;
  block.index = index;
  GPTQC_ASSIGN(block.attentionNorm, loadNorm(inBlock(index, architecture->attentionNorm)));
  GPTQC_ASSIGN(block.mlpNorm, loadNorm(inBlock(index, architecture->mlpNorm)));
  if (facts.headNorm) {
    GPTQC_ASSIGN(block.queryNorm, loadNorm(inBlock(index, architecture->queryNorm)));
    GPTQC_ASSIGN(block.keyNorm, loadNorm(inBlock(index, architecture->keyNorm)));
  }
  std::array<Status, kRoles> outcomes;
  parallelFor(kRoles, resolveThreads(threads), [&](int64_t i, int) {
    if (Role(i) == Role::Gate && !facts.gated)
      return;
    Result<LinearWeights> linear = loadLinear(moduleName(index, Role(i)), form);
    outcomes[size_t(i)] = linear.status();
    if (linear.ok())
      block.linears[size_t(i)] = std::move(*linear);
  });
  for (const Status &outcome : outcomes)
    GPTQC_TRY(outcome);
  return block;
}

Result<Matrix> Model::embed(std::span<const int32_t> tokens, BatchShape shape) const {
  const TensorRef &table = *hf.find(std::string(architecture->embedding) + ".weight");
  const TensorRef *positions = architecture->positions.empty()
                                   ? nullptr
                                   : hf.find(std::string(architecture->positions) + ".weight");
  if (positions && shape.firstPosition + shape.length > facts.positions)
    return invalidArgument("{} tokens: the model has learned {} positions; use shorter sequences",
                           shape.firstPosition + shape.length, facts.positions);
  Matrix x(int64_t(tokens.size()), facts.hidden);
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= facts.vocabulary)
      return invalidArgument("token id {} at position {} is outside the vocabulary of {}",
                             tokens[i], i, facts.vocabulary);
  const auto load = [&](const TensorRef &tensor, int64_t row, std::span<float> out) {
    return loadFloats(tensor, row * facts.hidden, out);
  };
  std::vector<float> probe(size_t(facts.hidden));
  GPTQC_TRY(load(table, 0, probe)); // what can fail is the tensor's type
  if (positions)
    GPTQC_TRY(load(*positions, 0, probe));
  parallelForRows(x.rows, resolveThreads(0), [&](int64_t i) {
    const std::span<float> row(x.ref().row(i), size_t(facts.hidden));
    (void)load(table, tokens[size_t(i)], row);
    if (!positions)
      return;
    std::vector<float> learned(row.size());
    (void)load(*positions, architecture->positionOffset + shape.firstPosition + i % shape.length,
               learned);
    for (size_t j = 0; j < row.size(); ++j)
      row[j] += learned[j];
  });
  return x;
}

Result<OutputHead> Model::loadHead(WeightForm form) const {
  OutputHead head;
  GPTQC_ASSIGN(head.norm, loadNorm(std::string(architecture->finalNorm)));
  GPTQC_ASSIGN(
      head.linear,
      loadLinear(std::string(facts.tiedHead ? architecture->embedding : architecture->head), form));
  return head;
}

} // namespace gptqc
