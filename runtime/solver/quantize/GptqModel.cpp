// The order of work: the inputs of a block's linear layers are collected, these are solved, and the
// quantized block makes the input of the next one.
#include "runtime/solver/quantize/GptqModel.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "runtime/core/Parallel.h"
#include "runtime/solver/quantize/LayerSink.h"
#include "runtime/solver/quantize/RunDigest.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class GptqRun {
public:
  GptqRun(const Model &model, const TokenRows &calibration, const GptqModelOptions &options,
          const ModulePlan &plan, const CpuContext &cpu, const GptqModelProgress &progress,
          Calibration &inputs, CheckpointWriter &writer, Journal &journal)
      : model(model), calibration(calibration), options(options), plan(plan), progress(progress),
        inputs(inputs), writer(writer), journal(journal),
        sink(writer, journal, model.folder().activationType(), sinkThreads(cpu.threads)) {}

  Result<GptqModelReport> run() {
    GPTQC_TRY(inputs.begin(calibration));
    report.tokens = calibration.rows * calibration.length;
    for (int64_t index = 0; index < model.config().blocks; ++index)
      GPTQC_TRY(runOneBlock(index));
    if (options.lmHead)
      GPTQC_TRY(solveHead());
    {
      const Timed timed(report.writeSeconds);
      GPTQC_TRY(sink.finish());
      GPTQC_TRY(writer.putFile("quant_log.csv", log));
      GPTQC_TRY(writer.finish());
    }
    report.tensorBytes = writer.tensorBytes();
    report.seconds = inputs.seconds;
    report.peakDeviceBytes = inputs.peakDeviceBytes();
    return report;
  }

private:
  /// The solver keeps the other threads of the machine busy.
  static int sinkThreads(int threads) { return std::clamp(resolveThreads(threads) / 4, 1, 4); }

  Status runOneBlock(int64_t index) {
    GPTQC_TRY(inputs.enter(index));
    if (options.trueSequential)
      for (int stage = 0; stage < kStages; ++stage)
        GPTQC_TRY(solveStages(index, stage, stage + 1));
    else
      GPTQC_TRY(solveStages(index, 0, kStages));
    if (index + 1 < model.config().blocks || options.lmHead)
      return inputs.leave();
    inputs.drop();
    return Status();
  }

  /// Quantizes the layers of some stages on the block's inputs as they are now.
  Status solveStages(int64_t index, int first, int last) {
    std::array<bool, kStages> wanted = {};
    for (int stage = first; stage < last; ++stage)
      wanted[size_t(stage)] = needsInput(index, stage);
    if (std::find(wanted.begin(), wanted.end(), true) != wanted.end())
      GPTQC_TRY(inputs.collect(first, last, wanted));
    for (int stage = first; stage < last; ++stage)
      for (const Role role : rolesOf(model.config(), stage)) {
        const std::string name = model.moduleName(index, role);
        if (plan.find(name))
          GPTQC_TRY(solveModule(name, role).withContext(name));
      }
    return Status();
  }

  /// Whether a reader of the stage has to be solved and was not in an earlier run.
  bool needsInput(int64_t index, int stage) const {
    const std::span<const Role> roles = rolesOf(model.config(), stage);
    return std::any_of(roles.begin(), roles.end(), [&](Role role) {
      const std::string name = model.moduleName(index, role);
      return plan.find(name) && !journal.find(name);
    });
  }

  /// Takes the layer from the journal or solves it; its weights become the quantized ones.
  Status solveModule(const std::string &name, Role role) {
    if (const std::optional<JournalEntry> entry = journal.find(name)) {
      GPTQC_TRY(inputs.replace(role, entry->matrix()));
      return resume(name, *entry);
    }
    const Clock::time_point start = Clock::now();
    GPTQC_ASSIGN(LayerSolution solution, inputs.solve(role, plan.find(name)->solver));
    return keep(name, std::move(solution), start);
  }

  Status resume(const std::string &name, const JournalEntry &entry) {
    const Timed timed(report.writeSeconds);
    ++report.resumed;
    GPTQC_TRY(writer.putPacked(name, entry.facts, entry.qweight));
    count(name, entry.facts.descriptor.n, entry.facts.descriptor.k, entry.record);
    return Status();
  }

  Status keep(const std::string &name, LayerSolution solution, Clock::time_point start) {
    const Timed timed(report.writeSeconds);
    const LayerRecord record{solution.loss,
                             solution.damp,
                             solution.errorBefore,
                             solution.errorAfter,
                             secondsSince(start),
                             report.tokens,
                             std::string(recoveryName(solution.recovery))};
    const int64_t n = solution.n, k = solution.k;
    GPTQC_TRY(sink.put(name, std::move(solution), *plan.find(name), record));
    count(name, n, k, record);
    return Status();
  }

  void count(const std::string &name, int64_t n, int64_t k, const LayerRecord &record) {
    const int64_t groupSize = plan.find(name)->solver.groupSize;
    ++report.layers;
    report.weights += n * k;
    report.widestInput = std::max(report.widestInput, k);
    report.shortGroups += groupSize > 0 && k % groupSize != 0;
    log += fmt::format("{},{:.10f},{},{:g},{:.3f},{:.6f},{:.6f},{}\n", name, record.loss,
                       record.tokens, record.damp, record.seconds, record.errorBefore,
                       record.errorAfter, record.recovery);
    if (progress)
      progress(report.layers, int64_t(plan.tasks.size()), name, record);
  }

  Status solveHead() {
    GPTQC_ASSIGN(const OutputHead head, model.loadHead());
    const std::string &name = head.linear.name;
    const ModuleTask *task = plan.find(name);
    if (!task)
      return Status();
    if (const std::optional<JournalEntry> entry = journal.find(name))
      return resume(name, *entry).withContext(name);
    const Clock::time_point start = Clock::now();
    Result<LayerSolution> solution = inputs.solveHead(head, task->solver);
    GPTQC_TRY(solution.status().withContext(name));
    return keep(name, std::move(*solution), start);
  }

  const Model &model;
  const TokenRows &calibration;
  const GptqModelOptions &options;
  const ModulePlan &plan;
  const GptqModelProgress &progress;
  Calibration &inputs;
  CheckpointWriter &writer;
  Journal &journal;
  LayerSink sink;
  std::string log = "module,loss,samples,damp,time,error_before,error_after,recovery\n";
  GptqModelReport report;
};

/// All modules that may be quantized, in the order of calibration.
Result<std::vector<std::string>> modulesOf(const Model &model, bool lmHead) {
  std::vector<std::string> modules;
  for (int64_t block = 0; block < model.config().blocks; ++block)
    for (int stage = 0; stage < kStages; ++stage)
      for (const Role role : rolesOf(model.config(), stage))
        modules.push_back(model.moduleName(block, role));
  if (lmHead && model.config().tiedHead)
    return makeError(Code::Unsupported,
                     "{}: the output layer is the embedding (tie_word_embeddings), which stays "
                     "dense; drop --lm-head",
                     model.folder().directory().string());
  // It is loaded in any case, so that one with an infinity is found before the hours of work.
  GPTQC_ASSIGN(const OutputHead head, model.loadHead(WeightForm::Stored));
  if (lmHead)
    modules.push_back(head.linear.name);
  return modules;
}

/// Whether `output` is what this run would write.
bool isComplete(const fs::path &output, const std::string &run) {
  const auto config = readJsonObject(output / "quantize_config.json");
  if (!config.ok() || !*config)
    return false;
  const auto meta = (*config)->find("meta");
  return meta != (*config)->end() && meta->is_object() && meta->contains("run") &&
         (*meta)["run"] == run;
}

fs::path journalPath(const fs::path &output) {
  std::error_code error;
  fs::path folder = fs::absolute(output, error).lexically_normal();
  if (!folder.has_filename())
    folder = folder.parent_path();
  return folder += ".resume";
}

} // namespace

Result<GptqModelReport> quantizeWithGptq(const fs::path &model, const fs::path &output,
                                         const TokenRows &calibration,
                                         const GptqModelOptions &options, const CpuContext &cpu,
                                         const GptqModelProgress &progress) {
  GPTQC_ASSIGN(const Model opened, Model::open(model));
  if (opened.quantized())
    return makeError(Code::Unsupported,
                     "{}: the model is quantized already; start from the original", model.string());
  const int64_t tokens = calibration.rows * calibration.length;
  if (tokens < kLeastCalibrationTokens)
    return invalidArgument("{} calibration tokens are too few: give at least {}, better 100 000",
                           tokens, kLeastCalibrationTokens);
  GPTQC_ASSIGN(const std::vector<std::string> modules, modulesOf(opened, options.lmHead));
  GPTQC_ASSIGN(ModulePlan plan, ModulePlan::make(modules, options));
  GPTQC_ASSIGN(const std::unique_ptr<Calibration> inputs,
               (options.calibration ? options.calibration : cpuCalibration(cpu))(opened));
  const std::string run = runDigest(opened.folder(), plan, options, calibration, inputs->name());
  plan.writer.keys["meta"]["run"] = run;
  const fs::path folder = journalPath(output);
  if (options.resume && isComplete(output, run)) {
    std::error_code error;
    fs::remove_all(folder, error); // killed after the last step
    GptqModelReport report;
    report.complete = true;
    return report;
  }
  std::vector<std::string> quantized;
  for (const std::string &module : modules)
    if (plan.find(module))
      quantized.push_back(module);
  GPTQC_ASSIGN(const std::unique_ptr<CheckpointWriter> writer,
               CheckpointWriter::create(opened.folder(), quantized, output, plan.writer));
  GPTQC_ASSIGN(Journal journal, Journal::open(folder, run, options.resume));
  Result<GptqModelReport> report =
      GptqRun(opened, calibration, options, plan, cpu, progress, *inputs, *writer, journal).run();
  if (report.ok()) {
    journal.remove();
    report->idleRules = std::move(plan.idleRules);
  }
  return report;
}

} // namespace gptqc
