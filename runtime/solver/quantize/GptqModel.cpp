// The order of work: a sweep of all calibration rows through a block collects the inputs of its
// linear layers, these are solved, and a second sweep makes the input of the next block.
#include "runtime/solver/quantize/GptqModel.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "runtime/core/AtomicFile.h"
#include "runtime/cpu/Dequantize.h"
#include "runtime/solver/StageSolver.h"
#include "runtime/solver/quantize/RunDigest.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Tokens that go through a block together: enough for the matrix products to be large.
constexpr int64_t kSweepTokens = 4096;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Adds the time of a scope.
class Timed {
public:
  explicit Timed(double &total) : total(total), start(Clock::now()) {}
  Timed(const Timed &) = delete;
  Timed &operator=(const Timed &) = delete;
  ~Timed() { total += secondsSince(start); }

private:
  double &total;
  Clock::time_point start;
};

class GptqRun {
public:
  GptqRun(const Model &model, const TokenRows &calibration, const GptqModelOptions &options,
          const ModulePlan &plan, const CpuContext &cpu, const GptqModelProgress &progress,
          CheckpointWriter &writer, Journal &journal)
      : model(model), calibration(calibration), options(options), plan(plan), cpu(cpu),
        progress(progress), writer(writer), journal(journal) {}

  Result<GptqModelReport> run() {
    {
      const Timed timed(report.forwardSeconds);
      GPTQC_ASSIGN(x, model.embed(calibration.ids, {calibration.length}));
    }
    report.tokens = x.rows;
    for (int64_t index = 0; index < model.config().blocks; ++index)
      GPTQC_TRY(runOneBlock(index));
    if (options.lmHead)
      GPTQC_TRY(solveHead());
    {
      const Timed timed(report.writeSeconds);
      GPTQC_TRY(writer.putFile("quant_log.csv", log));
      GPTQC_TRY(writer.finish());
    }
    report.tensorBytes = writer.tensorBytes();
    return report;
  }

private:
  using Sums = std::array<std::optional<HessianSum>, kStages>;

  Status runOneBlock(int64_t index) {
    Block block;
    {
      const Timed timed(report.forwardSeconds);
      GPTQC_ASSIGN(block, model.loadBlock(index, cpu.threads));
    }
    if (options.trueSequential)
      for (int stage = 0; stage < kStages; ++stage)
        GPTQC_TRY(solveStages(block, stage, stage + 1));
    else
      GPTQC_TRY(solveStages(block, 0, kStages));
    if (index + 1 == model.config().blocks && !options.lmHead)
      return Status();
    const Timed timed(report.forwardSeconds);
    for (int64_t row = 0; row < calibration.rows; row += sweepRows())
      GPTQC_TRY(runBlock(cpu, model.config(), block, {calibration.length}, sweepPart(row)));
    return Status();
  }

  /// Quantizes the layers of some stages on the block's inputs as they are now.
  Status solveStages(Block &block, int first, int last) {
    Sums sums;
    bool missing = false;
    for (int stage = first; stage < last; ++stage)
      if (needsInput(block, stage)) {
        const Role role = rolesOf(model.config(), stage).front();
        sums[size_t(stage)].emplace(model.config().columns(role), cpu.blas);
        missing = true;
      }
    if (missing)
      collect(block, last, sums);
    for (int stage = first; stage < last; ++stage)
      GPTQC_TRY(solveStage(block, stage, sums[size_t(stage)]));
    return Status();
  }

  /// Whether a reader of the stage has to be solved and was not in an earlier run.
  bool needsInput(const Block &block, int stage) const {
    for (const Role role : rolesOf(model.config(), stage)) {
      const std::string &name = block.at(role).name;
      if (plan.find(name) && !journal.find(name))
        return true;
    }
    return false;
  }

  /// All rows through the stages before `last`, on copies: the block's input stays.
  void collect(const Block &block, int last, Sums &sums) {
    for (int64_t row = 0; row < calibration.rows; row += sweepRows()) {
      const MatrixRef<float> part = sweepPart(row);
      Matrix copy(part.rows, part.columns);
      std::copy_n(part.data, copy.values.size(), copy.values.begin());
      std::optional<BlockPass> pass;
      {
        const Timed timed(report.forwardSeconds);
        pass.emplace(cpu, model.config(), block, BatchShape{calibration.length}, copy.ref());
      }
      for (int stage = 0; stage < last; ++stage) {
        if (sums[size_t(stage)]) {
          const Timed timed(report.hessianSeconds);
          sums[size_t(stage)]->add(pass->input());
        }
        const Timed timed(report.forwardSeconds);
        if (stage + 1 < last)
          pass->advance();
      }
    }
  }

  Status solveStage(Block &block, int stage, std::optional<HessianSum> &sum) {
    std::optional<Hessian> hessian;
    std::unique_ptr<StageSolver> solver;
    for (const Role role : rolesOf(model.config(), stage)) {
      LinearWeights &linear = block.at(role);
      if (!plan.find(linear.name))
        continue;
      GPTQC_TRY(makeSolver(sum, hessian, solver).withContext(linear.name));
      GPTQC_TRY(solveModule(linear, hessian ? hessian->tokens : 0, solver.get())
                    .withContext(linear.name));
    }
    return Status();
  }

  /// From the sum of the inputs, once; nothing when no layer of the stage is left to solve.
  Status makeSolver(std::optional<HessianSum> &sum, std::optional<Hessian> &hessian,
                    std::unique_ptr<StageSolver> &solver) const {
    if (!sum || solver)
      return Status();
    GPTQC_ASSIGN(hessian, sum->finish());
    sum.reset();
    solver = options.stageSolver ? options.stageSolver(*hessian)
                                 : cpuStageSolver(cpu.blas, cpu.threads)(*hessian);
    return Status();
  }

  /// Takes the layer from the journal or solves it; its weights become the quantized ones.
  Status solveModule(LinearWeights &linear, int64_t tokens, StageSolver *solver) {
    const ModuleTask &task = *plan.find(linear.name);
    const int64_t n = linear.weight.rows, k = linear.weight.columns;
    std::optional<JournalEntry> entry = journal.find(linear.name);
    if (entry) {
      ++report.resumed;
    } else {
      const Clock::time_point start = Clock::now();
      const Timed timed(report.solveSeconds);
      GPTQC_ASSIGN(const LayerSolution solution,
                   solver->solve(linear.weight.values, n, k, task.solver));
      GPTQC_ASSIGN(const QuantizedMatrix matrix,
                   toMatrix(solution, task.solver, model.folder().activationType()));
      const LayerRecord record{solution.loss,
                               solution.damp,
                               solution.errorBefore,
                               solution.errorAfter,
                               secondsSince(start),
                               tokens,
                               std::string(recoveryName(solution.recovery))};
      GPTQC_TRY(journal.put(linear.name, matrix, packingOf(task.config.format), record));
      entry = journal.find(linear.name);
      if (!entry)
        return makeError(Code::IoError, "what was just written cannot be read; check the disk");
    }
    const Timed timed(report.writeSeconds);
    GPTQC_TRY(writer.putPacked(linear.name, entry->facts, entry->qweight));
    linear.weight = dequantize(entry->matrix());
    count(linear.name, task, n, k, entry->record);
    return Status();
  }

  void count(const std::string &name, const ModuleTask &task, int64_t n, int64_t k,
             const LayerRecord &record) {
    const int64_t groupSize = task.solver.groupSize;
    ++report.layers;
    report.weights += n * k;
    report.widestInput = std::max(report.widestInput, k);
    report.shortGroups += groupSize > 0 && k > groupSize && k % groupSize != 0;
    log += fmt::format("{},{:.10f},{},{:g},{:.3f},{:.6f},{:.6f},{}\n", name, record.loss,
                       record.tokens, record.damp, record.seconds, record.errorBefore,
                       record.errorAfter, record.recovery);
    if (progress)
      progress(report.layers, int64_t(plan.tasks.size()), name, record);
  }

  Status solveHead() {
    GPTQC_ASSIGN(OutputHead head, model.loadHead());
    if (!plan.find(head.linear.name))
      return Status();
    std::optional<HessianSum> sum;
    if (!journal.find(head.linear.name)) {
      const Timed timed(report.hessianSeconds);
      sum.emplace(x.columns, cpu.blas);
      applyNorm(cpu, model.config().norm, model.config().normEpsilon, head.norm, x.ref(), x.ref());
      sum->add(x.ref());
    }
    std::optional<Hessian> hessian;
    std::unique_ptr<StageSolver> solver;
    GPTQC_TRY(makeSolver(sum, hessian, solver).withContext(head.linear.name));
    return solveModule(head.linear, report.tokens, solver.get()).withContext(head.linear.name);
  }

  int64_t sweepRows() const { return std::max<int64_t>(1, kSweepTokens / calibration.length); }
  MatrixRef<float> sweepPart(int64_t row) {
    const int64_t rows = std::min(sweepRows(), calibration.rows - row);
    return x.ref().block(row * calibration.length, 0, rows * calibration.length, x.columns);
  }

  const Model &model;
  const TokenRows &calibration;
  const GptqModelOptions &options;
  const ModulePlan &plan;
  const CpuContext &cpu;
  const GptqModelProgress &progress;
  CheckpointWriter &writer;
  Journal &journal;
  Matrix x; ///< the input of the current block, [rows * length, hidden]
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
  if (lmHead) {
    GPTQC_ASSIGN(const OutputHead head, model.loadHead());
    modules.push_back(head.linear.name);
  }
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
  const std::string run = runDigest(opened.folder(), plan, options, calibration, cpu.blas.name());
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
      GptqRun(opened, calibration, options, plan, cpu, progress, *writer, journal).run();
  if (report.ok())
    journal.remove();
  return report;
}

} // namespace gptqc
