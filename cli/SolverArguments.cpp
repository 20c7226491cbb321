// Declares the solver's options on a command.
#include "cli/SolverArguments.h"

namespace gptqc::cli {

void SolverArguments::add(CLI::App &command) {
  command.add_option("--bits", options.bits, "Bits of a weight")
      ->check(CLI::Range(2, 8))
      ->required();
  command
      .add_option("--group-size", options.groupSize, "Columns that share a scale; -1: all of them")
      ->capture_default_str();
  command.add_flag("--asym", asym, "Store a zero point for each group");
  command.add_flag("--act-order", options.actOrder,
                   "Quantize the columns that matter most first, and form groups of them");
  command.add_flag("--static-groups", options.staticGroups,
                   "Grids from the original weights; with --act-order, groups stay in order");
  command.add_flag("--act-group-aware", options.actGroupAware,
                   "Act-order inside groups and of whole groups, at no cost when the layer runs");
  command.add_flag("--group-refresh", options.groupRefresh,
                   "Grids of groups smaller than 128 see all updates before them");
  command.add_flag("--mse", options.mse, "Search each grid for the least error");
  command.add_option("--damp", options.damp, "Damping, as a part of the mean diagonal of H")
      ->capture_default_str();
  command
      .add_option(
          "--blas", blas,
          "Linear algebra on the CPU: builtin, auto (OpenBLAS if it is there), or a library")
      ->capture_default_str();
  command.add_option("--threads", threads, "CPU threads; 0: one per core")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
}

Status SolverArguments::finish() {
  options.sym = !asym;
  return validate(options);
}

Result<Blas> SolverArguments::openBlas() const {
  if (blas == "auto")
    return Blas::best(threads);
  if (blas == "builtin")
    return Blas::builtin(threads);
  return Blas::openblas(blas, threads);
}

} // namespace gptqc::cli
