// The configuration is written first and read back with the readers' own rules, so that what is
// quantized and what the file says cannot differ.
#include "runtime/solver/quantize/ModulePlan.h"

#include <algorithm>
#include <array>

#include "runtime/checkpoint/QuantizeModel.h"

namespace gptqc {
namespace {

using ordered_json = nlohmann::ordered_json;

Result<QuantConfig> readBack(const ModuleConfig &base, const ordered_json &dynamic) {
  ordered_json object = {
      {"quant_method", "gptq"},       {"bits", base.bits},
      {"group_size", base.groupSize}, {"sym", base.sym},
      {"desc_act", base.descAct},     {"checkpoint_format", fileFormatName(base.format)}};
  if (!dynamic.is_null())
    object["dynamic"] = dynamic;
  return QuantConfig::parse(object, "options");
}

/// Columns out of their order show in the file only where groups are formed in that order, and
/// there is more than one.
bool claimsOrder(const SolverOptions &options) {
  return options.actOrder && !options.staticGroups && options.groupSize != -1;
}

SolverOptions solverOf(const ModuleConfig &config, const DynamicRule *rule,
                       const SolverOptions &base) {
  SolverOptions options = base;
  options.bits = config.bits;
  options.groupSize = config.groupSize;
  options.sym = config.sym;
  if (!rule)
    return options;
  options.actOrder = rule->descAct.value_or(base.actOrder);
  options.damp = rule->damp.value_or(base.damp);
  options.mse = rule->mse.value_or(base.mse);
  options.staticGroups = rule->staticGroups.value_or(base.staticGroups);
  // An order of its own replaces the other one.
  options.actGroupAware =
      rule->actGroupAware.value_or(base.actGroupAware && !rule->descAct.value_or(false));
  return options;
}

/// The format of the file, which is one for all modules.
Result<FileFormat> chooseFormat(const std::map<std::string, ModuleTask> &tasks,
                                std::optional<FileFormat> wanted) {
  FileFormat format = wanted.value_or(FileFormat::Gptq);
  for (const auto &[module, task] : tasks) {
    const bool planar = task.config.bits >= 5 && task.config.bits <= 7;
    if (planar && wanted.value_or(FileFormat::GptqPlanar) != FileFormat::GptqPlanar)
      return invalidArgument("{}: {} bits exist in format gptq_p alone; drop --format {}", module,
                             task.config.bits, fileFormatName(*wanted));
    if (planar)
      return FileFormat::GptqPlanar;
    if (!task.config.sym && !wanted)
      format = FileFormat::GptqV2;
  }
  return format;
}

ordered_json keysOf(const GptqModelOptions &options) {
  const SolverOptions &solver = options.solver;
  ordered_json keys = {{"lm_head", options.lmHead},
                       {"true_sequential", options.trueSequential},
                       {"damp_percent", solver.damp},
                       {"static_groups", solver.staticGroups},
                       {"act_group_aware", solver.actGroupAware}};
  if (!options.dynamic.is_null())
    keys["dynamic"] = options.dynamic;
  keys["meta"] = {{"damp_percent", solver.damp},
                  {"mse", solver.mse ? 2.4 : 0.0},
                  {"static_groups", solver.staticGroups},
                  {"act_group_aware", solver.actGroupAware},
                  {"group_refresh", solver.groupRefresh}};
  return keys;
}

/// A checkpoint may have keys that other programs read; what a caller asks for must have an effect.
Status checkKeys(const ordered_json &dynamic) {
  static constexpr std::array<std::string_view, 8> kKeys = {
      "bits",         "group_size", "sym",           "desc_act",
      "damp_percent", "mse",        "static_groups", "act_group_aware"};
  if (!dynamic.is_object())
    return Status(); // QuantConfig refuses it
  for (const auto &[pattern, overrides] : dynamic.items())
    if (overrides.is_object())
      for (const auto &[key, value] : overrides.items())
        if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
          return invalidArgument("dynamic '{}' has a key '{}'; known: {}", quoteName(pattern),
                                 quoteName(key), fmt::join(kKeys, ", "));
  return Status();
}

} // namespace

Result<ModulePlan> ModulePlan::make(const std::vector<std::string> &modules,
                                    const GptqModelOptions &options) {
  GPTQC_TRY(validate(options.solver));
  GPTQC_TRY(checkKeys(options.dynamic));
  QuantizeOptions common;
  common.bits = options.solver.bits;
  common.groupSize = options.solver.groupSize;
  common.sym = options.solver.sym;
  common.actOrder = claimsOrder(options.solver);
  common.format = options.format;
  ModulePlan plan;
  GPTQC_ASSIGN(plan.writer.config, resolveConfig(common));
  GPTQC_ASSIGN(const QuantConfig config, readBack(plan.writer.config, options.dynamic));
  for (const std::string &module : modules) {
    const std::optional<ModuleConfig> own = config.module(module);
    if (!own)
      continue;
    const ModuleTask task{solverOf(*own, config.ruleFor(module), options.solver), *own};
    GPTQC_TRY(validate(task.solver).withContext(module));
    plan.tasks.emplace(module, task);
  }
  plan.idleRules = config.idleRules(modules);
  if (plan.tasks.empty())
    return invalidArgument("dynamic skips every module; nothing is left to quantize");
  GPTQC_ASSIGN(plan.writer.config.format, chooseFormat(plan.tasks, options.format));
  for (auto &[module, task] : plan.tasks) {
    task.config.format = plan.writer.config.format;
    // v1 files cannot hold a zero point of 0.
    task.solver.zeroFromOne = task.config.format == FileFormat::Gptq;
    if (task.config != plan.writer.config)
      plan.writer.modules.emplace(module, task.config);
  }
  plan.writer.keys = keysOf(options);
  plan.writer.writer = options.writer;
  plan.writer.method = "gptq";
  plan.writer.force = options.force;
  plan.writer.inputs = options.inputs;
  plan.writer.maxShardBytes = options.maxShardBytes;
  return plan;
}

} // namespace gptqc
