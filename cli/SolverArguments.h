// The options of the GPTQ solver that `quantize` and `solve` share.
#ifndef GPTQC_CLI_SOLVERARGUMENTS_H
#define GPTQC_CLI_SOLVERARGUMENTS_H

#include <CLI/CLI.hpp>

#include "runtime/cpu/Blas.h"
#include "runtime/solver/SolverOptions.h"

namespace gptqc::cli {

struct SolverArguments {
  SolverOptions options; ///< complete after finish()
  bool asym = false;
  std::string blas = "builtin";
  int threads = 0;

  /// Adds --bits, --group-size, --asym, --act-order, --static-groups, --act-group-aware,
  /// --group-refresh, --mse, --damp, --blas and --threads.
  void add(CLI::App &command);
  /// Completes `options`; InvalidArgument for what does not go together.
  Status finish();
  /// The linear algebra that --blas names.
  Result<Blas> openBlas() const;
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_SOLVERARGUMENTS_H
