// Declares the options that name layers; draws the progress of compiling.
#include "cli/KernelJobs.h"

#include "cli/Progress.h"

namespace gptqc::cli {

void addLayerSource(CLI::App &command, LayerSource &source) {
  CLI::Option_group *group = command.add_option_group("layers", "What to compile (one of)");
  group->add_option("MODEL", source.model, "Folder of a GPTQ checkpoint");
  group
      ->add_option("--descriptor", source.descriptors,
                   "One layer, e.g. 'w4 g128 sym f16->f16 n4096 k4096 m1..'; repeatable")
      ->allow_extra_args(false);
  group->add_option("--descriptors", source.descriptorFile, "A file, one descriptor a line");
  group->require_option(1);
  command.add_flag("--fused", source.fused,
                   "MODEL: also q/k/v, gate/up and the experts of a block as one layer each");
}

void compileJobs(Compiler &compiler, std::vector<KernelJob> &jobs, unsigned threads,
                 const std::string &label) {
  Progress progress(label, int64_t(jobs.size()));
  compileJobs(compiler, jobs, threads, [&](const KernelJob &job) { progress.step(job.print()); });
}

} // namespace gptqc::cli
