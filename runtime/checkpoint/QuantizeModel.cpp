// Options, worker threads, and one layer's way through them.
#include "runtime/checkpoint/QuantizeModel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include <unistd.h>

#include "runtime/checkpoint/CheckpointWriter.h"
#include "runtime/checkpoint/FloatTensor.h"
#include "runtime/checkpoint/ModuleTable.h"
#include "runtime/checkpoint/Rtn.h"
#include "runtime/core/Parallel.h"

namespace gptqc {
namespace {

Status quantizeLayer(const HfFolder &source, const std::string &module, const RtnOptions &rtn,
                     CheckpointWriter &writer) {
  const TensorRef *weight = source.find(module + ".weight");
  GPTQC_ASSIGN(const std::vector<float> values, loadFloats(*weight));
  GPTQC_ASSIGN(const QuantizedMatrix matrix,
               quantizeRtn(values, weight->info->shape[0], weight->info->shape[1],
                           source.activationType(), rtn));
  return writer.putLayer(module, matrix);
}

/// Runs `work(i)` for 0 <= i < count on several threads; after the first error no more is started.
Status runParallel(size_t count, unsigned threads, const std::function<Status(size_t)> &work) {
  std::atomic<bool> failed = false;
  std::mutex mutex;
  Status first;
  parallelFor(int64_t(count), int(threads), [&](int64_t i, int) {
    if (failed)
      return;
    Status status = work(size_t(i));
    if (status.ok())
      return;
    failed = true;
    const std::lock_guard lock(mutex);
    if (first.ok())
      first = std::move(status);
  });
  return first;
}

/// Layers at a time: one per core, fewer when the largest layers would not fit into half of the
/// free memory.
unsigned threadsFor(const HfFolder &source, const std::vector<std::string> &modules,
                    unsigned wanted) {
  if (wanted > 0)
    return wanted;
  int64_t largest = 1;
  for (const std::string &module : modules)
    largest = std::max(largest, source.find(module + ".weight")->info->elements());
  constexpr int64_t kBytesPerWeight = 8; // a float, two copies of the codes, the packed words
  const int64_t budget = int64_t(::sysconf(_SC_AVPHYS_PAGES)) * ::sysconf(_SC_PAGESIZE) / 2;
  const int64_t fitting = std::max<int64_t>(1, budget / (largest * kBytesPerWeight));
  return unsigned(std::min<int64_t>(fitting, std::max(1u, std::thread::hardware_concurrency())));
}

} // namespace

Result<ModuleConfig> resolveConfig(const QuantizeOptions &options) {
  if (options.bits < 2 || options.bits > 8)
    return invalidArgument("{} bits: GPTQ weights have 2 to 8", options.bits);
  if (options.groupSize != -1 && (options.groupSize < 1 || options.groupSize > INT32_MAX))
    return invalidArgument("group size {}: use -1 or a positive number of columns",
                           options.groupSize);
  ModuleConfig config;
  config.bits = options.bits;
  config.groupSize = options.groupSize;
  config.sym = options.sym;
  // With one group the order of its columns has no effect, and some readers insist that it is not
  // claimed.
  config.descAct = options.actOrder && options.groupSize != -1;
  const bool planarOnly = options.bits >= 5 && options.bits <= 7;
  if (planarOnly && options.format.value_or(FileFormat::GptqPlanar) != FileFormat::GptqPlanar)
    return invalidArgument("{} bits exist in format gptq_p alone; drop --format {}", options.bits,
                           fileFormatName(*options.format));
  config.format =
      planarOnly ? FileFormat::GptqPlanar
                 : options.format.value_or(options.sym ? FileFormat::Gptq : FileFormat::GptqV2);
  return config;
}

Result<QuantizeReport> quantizeModel(const std::filesystem::path &model,
                                     const std::filesystem::path &output,
                                     const QuantizeOptions &options,
                                     const QuantizeProgress &progress) {
  WriterOptions writing;
  GPTQC_ASSIGN(writing.config, resolveConfig(options));
  writing.writer = options.writer;
  writing.method = "rtn";
  writing.force = options.force;
  writing.maxShardBytes = options.maxShardBytes;
  GPTQC_ASSIGN(const HfFolder source, HfFolder::open(model));
  if (source.config().contains("quantization_config"))
    return makeError(Code::Unsupported,
                     "{}: the model is quantized already; start from the original", model.string());
  GPTQC_ASSIGN(const std::vector<std::string> modules, ModuleTable::modulesOf(source));
  RtnOptions rtn;
  rtn.bits = options.bits;
  rtn.groupSize = options.groupSize;
  rtn.sym = options.sym;
  rtn.actOrder = writing.config.descAct;
  rtn.zeroFromOne = writing.config.format == FileFormat::Gptq;
  GPTQC_ASSIGN(const std::unique_ptr<CheckpointWriter> writer,
               CheckpointWriter::create(source, modules, output, std::move(writing)));
  const unsigned threads = threadsFor(source, modules, options.threads);
  std::atomic<int64_t> done = 0;
  GPTQC_TRY(runParallel(modules.size(), threads, [&](size_t i) {
    GPTQC_TRY(quantizeLayer(source, modules[i], rtn, *writer).withContext(modules[i]));
    if (progress)
      progress(++done, int64_t(modules.size()), modules[i]);
    return Status();
  }));
  GPTQC_TRY(writer->finish());
  QuantizeReport report;
  report.layers = int64_t(modules.size());
  report.tensorBytes = writer->tensorBytes();
  for (const std::string &module : modules) {
    const TensorInfo &info = *source.find(module + ".weight")->info;
    report.weights += info.elements();
    report.shortGroups += options.groupSize > 0 && info.shape[1] % options.groupSize != 0;
  }
  return report;
}

} // namespace gptqc
