// The subcommands of the gptqc tool: each lives in its own file and registers itself here.
#ifndef GPTQC_CLI_COMMANDS_H
#define GPTQC_CLI_COMMANDS_H

#include <CLI/CLI.hpp>

#include "runtime/core/Status.h"

namespace gptqc::cli {

/// Where a subcommand's callback leaves its outcome; main prints an error as one line and exits
/// with 1 (2 for usage errors, which CLI11 reports).
struct Outcome {
  Status status;
};

void registerInspect(CLI::App &app, Outcome &outcome);
void registerLint(CLI::App &app, Outcome &outcome);
void registerQuantize(CLI::App &app, Outcome &outcome);
void registerSolve(CLI::App &app, Outcome &outcome);
void registerCompile(CLI::App &app, Outcome &outcome);
void registerVerify(CLI::App &app, Outcome &outcome);
void registerBench(CLI::App &app, Outcome &outcome);
void registerEval(CLI::App &app, Outcome &outcome);
void registerGenerate(CLI::App &app, Outcome &outcome);
void registerCache(CLI::App &app, Outcome &outcome);
void registerPack(CLI::App &app, Outcome &outcome);
void registerTune(CLI::App &app, Outcome &outcome);
/// What `tune` does itself, `tune report`, and `tune check`; a build with the compiler has them.
void registerTuneRun(CLI::App &tune, Outcome &outcome);
void registerTuneCheck(CLI::App &tune, Outcome &outcome);
void registerLoadBench(CLI::App &app, Outcome &outcome);

} // namespace gptqc::cli

#endif // GPTQC_CLI_COMMANDS_H
