// One row per architecture.
#include "runtime/checkpoint/ModuleTable.h"

#include <algorithm>
#include <array>
#include <set>

#include "runtime/core/TextForm.h"

namespace gptqc {
namespace {

const std::vector<std::string_view> kLlamaModules = {
    "self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.o_proj",
    "mlp.up_proj",      "mlp.gate_proj",    "mlp.down_proj"};

const std::array<ModuleTable, 5> kTables = {{
    {"llama", "model.layers.", kLlamaModules},
    {"mistral", "model.layers.", kLlamaModules},
    {"opt",
     "model.decoder.layers.",
     {"self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj", "fc1",
      "fc2"}},
    {"qwen2", "model.layers.", kLlamaModules},
    {"qwen3", "model.layers.", kLlamaModules},
}};

/// The block number in `name` after the prefix, or -1; `rest` is what follows the number's dot.
int64_t blockOf(std::string_view name, std::string_view prefix, std::string_view &rest) {
  if (name.substr(0, prefix.size()) != prefix)
    return -1;
  name.remove_prefix(prefix.size());
  const size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos || dot > 6)
    return -1;
  int64_t block = 0;
  for (char c : name.substr(0, dot)) {
    if (c < '0' || c > '9')
      return -1;
    block = block * 10 + (c - '0');
  }
  rest = name.substr(dot + 1);
  return block;
}

} // namespace

const ModuleTable *ModuleTable::forModelType(std::string_view modelType) {
  const auto found = std::find_if(kTables.begin(), kTables.end(), [&](const ModuleTable &table) {
    return table.modelType == modelType;
  });
  return found == kTables.end() ? nullptr : &*found;
}

std::string ModuleTable::supported() {
  std::string names;
  for (const ModuleTable &table : kTables)
    names += (names.empty() ? "" : ", ") + std::string(table.modelType);
  return names;
}

bool ModuleTable::quantizes(std::string_view module) const {
  std::string_view rest;
  return blockOf(module, prefix, rest) >= 0 &&
         std::find(modules.begin(), modules.end(), rest) != modules.end();
}

Result<std::vector<std::string>> ModuleTable::modulesOf(const HfFolder &folder) {
  const std::string type = folder.modelType();
  const ModuleTable *table = forModelType(type);
  if (!table)
    return makeError(Code::Unsupported, "{}: model_type '{}' cannot be quantized; supported: {}",
                     folder.directory().string(), quoteName(type), supported());
  std::set<int64_t> blocks;
  for (const auto &[name, tensor] : folder.tensors()) {
    std::string_view rest;
    if (const int64_t block = blockOf(name, table->prefix, rest); block >= 0)
      blocks.insert(block);
  }
  if (blocks.empty())
    return makeError(Code::NotFound, "{}: no tensor starts with {}<number>, as those of {} do",
                     folder.directory().string(), table->prefix, type);
  std::vector<std::string> modules;
  for (int64_t block : blocks)
    for (std::string_view module : table->modules) {
      std::string name = fmt::format("{}{}.{}", table->prefix, block, module);
      if (!folder.find(name + ".weight"))
        return makeError(Code::NotFound, "{}: tensor {}.weight is missing; fetch the model again",
                         folder.directory().string(), name);
      modules.push_back(std::move(name));
    }
  return modules;
}

} // namespace gptqc
