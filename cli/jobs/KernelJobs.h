// KernelJobs: the kernels that a model or a list of descriptors needs, and compiling them on all
// cores; what compile, pack, load-bench and the Python package share.
#ifndef GPTQC_CLI_JOBS_KERNELJOBS_H
#define GPTQC_CLI_JOBS_KERNELJOBS_H

#include <functional>
#include <string>
#include <vector>

#include "compiler/Compiler.h"

namespace gptqc::cli {

/// Which layers; exactly one of the three is given.
struct LayerSource {
  std::string model;                    ///< folder of a GPTQ checkpoint
  std::vector<std::string> descriptors; ///< text forms
  std::string descriptorFile;
  bool fused = false; ///< of a model: what runtimes run as one layer too (fusedLayers)
};

/// The distinct layers, canonical. Those of a model have m1..; a descriptor keeps its range.
Result<std::vector<Descriptor>> layersOf(const LayerSource &source);

/// One kernel to compile, and how it went.
struct KernelJob {
  Descriptor descriptor;
  Target target;
  CodeKind kind = CodeKind::Cubin;
  std::string support;              ///< file of a support kernel; empty: linear
  std::optional<Schedule> schedule; ///< nothing: the compiler's choice
  Result<KernelImage> image = Status(Code::Internal, "not compiled");
  double seconds = 0;

  std::string print() const { return support.empty() ? descriptor.print() : support; }
};

/// A job for each layer, M bucket that holds one of `tokens` (empty: all) and touches the layer's
/// range, and target; each kernel once.
std::vector<KernelJob> bucketJobs(const std::vector<Descriptor> &layers,
                                  const std::vector<Target> &targets,
                                  const std::vector<int64_t> &tokens);

/// Compiles all jobs, those that share their code one after the other; threads 0: one per core.
/// `done` is called after each, from the threads that compile, and may be empty.
void compileJobs(Compiler &compiler, std::vector<KernelJob> &jobs, unsigned threads,
                 const std::function<void(const KernelJob &)> &done);

/// The first failure, saying how many there were.
Status jobsVerdict(const std::vector<KernelJob> &jobs);

/// Reads tuning records for CompilerOptions::tuned; no file, no lookup. A point without a record
/// takes the schedule of the nearest that has one. A torn last line is a warning.
Result<ScheduleLookup> tunedLookup(const std::string &recordsFile);

} // namespace gptqc::cli

#endif // GPTQC_CLI_JOBS_KERNELJOBS_H
