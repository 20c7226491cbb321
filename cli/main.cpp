// The gptqc tool: parses the command line, runs one subcommand, and turns its outcome into one line
// on stderr and an exit code (0 done, 1 failed, 2 usage).
#include <csignal>
#include <cstdio>
#include <new>
#include <string>
#include <system_error>

#include "cli/Commands.h"
#include "runtime/core/Version.h"

namespace {

std::string firstLine(std::string text) {
  for (char &c : text)
    if (c == '\n' || c == '\r')
      c = ' ';
  return text;
}

void registerCommands(CLI::App &app, gptqc::cli::Outcome &outcome) {
#ifdef GPTQC_HAVE_INSPECT
  gptqc::cli::registerInspect(app, outcome);
#endif
#ifdef GPTQC_HAVE_LINT
  gptqc::cli::registerLint(app, outcome);
#endif
#ifdef GPTQC_HAVE_QUANTIZE
  gptqc::cli::registerQuantize(app, outcome);
#endif
#ifdef GPTQC_HAVE_EVAL
  gptqc::cli::registerEval(app, outcome);
#endif
#ifdef GPTQC_HAVE_SOLVE
  gptqc::cli::registerSolve(app, outcome);
#endif
#ifdef GPTQC_HAVE_GENERATE
  gptqc::cli::registerGenerate(app, outcome);
#endif
#ifdef GPTQC_HAVE_COMPILE
  gptqc::cli::registerCompile(app, outcome);
#endif
#ifdef GPTQC_HAVE_VERIFY
  gptqc::cli::registerVerify(app, outcome);
#endif
#ifdef GPTQC_HAVE_BENCH
  gptqc::cli::registerBench(app, outcome);
#endif
#ifdef GPTQC_HAVE_CACHE
  gptqc::cli::registerCache(app, outcome);
#endif
#ifdef GPTQC_HAVE_PACK
  gptqc::cli::registerPack(app, outcome);
#endif
#ifdef GPTQC_HAVE_TUNE
  gptqc::cli::registerTune(app, outcome);
#endif
#ifdef GPTQC_HAVE_LOADBENCH
  gptqc::cli::registerLoadBench(app, outcome);
#endif
}

} // namespace

int main(int argc, char **argv) {
  std::signal(SIGXFSZ,
              SIG_IGN); // a file that may not grow is an error of its write, with a message
  CLI::App app("gptqc: compiler for GPTQ-quantized linear layers", "gptqc");
  app.set_version_flag("--version", [] {
    return fmt::format("gptqc {} ({})", gptqc::versionNumber(), gptqc::versionCommit());
  });
  app.require_subcommand(1);
  gptqc::cli::Outcome outcome;
  registerCommands(app, outcome);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == int(CLI::ExitCodes::Success))
      return app.exit(error); // --help, --version
    std::fprintf(stderr, "gptqc: usage: %s (gptqc --help lists the commands)\n",
                 firstLine(error.what()).c_str());
    return 2;
  } catch (const std::bad_alloc &) {
    std::fputs("gptqc: error: out of memory; use a machine with more, or a smaller model\n",
               stderr);
    return 1;
  } catch (const std::system_error &error) { // how fmt reports a failed write
    outcome.status = gptqc::makeError(gptqc::Code::IoError, "{}", error.what());
  }
  if (outcome.status.ok() && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0))
    outcome.status =
        gptqc::makeError(gptqc::Code::IoError, "the output could not be written completely");
  if (outcome.status.ok())
    return 0;
  std::fprintf(stderr, "gptqc: error: %s\n", firstLine(outcome.status.message()).c_str());
  return 1;
}
