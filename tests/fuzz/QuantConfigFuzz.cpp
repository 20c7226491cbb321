// The text of quantize_config.json, or of a config.json that holds one.
#include "runtime/checkpoint/QuantConfig.h"
#include "tests/fuzz/FuzzTarget.h"

using namespace gptqc;
using namespace gptqc::fuzz;

namespace {

void checkConfig(const nlohmann::ordered_json &object) {
  const Result<QuantConfig> config = QuantConfig::parse(object, "config.json");
  if (!config)
    return checkError(config.status());
  for (const std::string &line : config->conflicts())
    checkMessage(line);
  for (const char *name :
       {"model.layers.10.self_attn.q_proj", "lm_head", "", "aaaaaaaaaaaaaaaaaaaa"}) {
    const std::optional<ModuleConfig> module = config->module(name);
    require(!module || (module->bits >= 2 && module->bits <= 8 && module->groupSize != 0),
            "what a module uses is in range");
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static MemoryFile memory;
  memory.assign(data, size);
  const auto object = readJsonObject(memory.path());
  if (!object) {
    checkError(object.status());
    return 0;
  }
  require(object->has_value(), "a file that exists is read");
  checkConfig(**object);
  if (const auto inner = (*object)->find("quantization_config"); inner != (*object)->end())
    checkConfig(*inner);
  return 0;
}
