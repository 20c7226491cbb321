// gptqc tune: what needs neither the compiler nor a GPU: tune merge joins files of tuning records.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "autotune/records/Records.h"
#include "cli/Commands.h"
#include "runtime/core/AtomicFile.h"
#include "runtime/core/Log.h"

namespace gptqc::cli {
namespace {

struct TuneArguments {
  std::vector<std::string> files;
  std::string output;
};

Status merge(const TuneArguments &arguments) {
  std::vector<Records> parts;
  for (const std::string &file : arguments.files) {
    GPTQC_ASSIGN(Records records, Records::load(file));
    if (records.torn())
      Log().warning("{}: the last line is not complete and is left out", file);
    parts.push_back(std::move(records));
  }
  const Records merged = Records::merge(parts);
  const std::string text = merged.print();
  if (!arguments.output.empty()) {
    GPTQC_TRY(writeFileAtomically(arguments.output, text));
    fmt::print("{} records of {} files in {}\n", merged.all().size(), parts.size(),
               arguments.output);
    return Status();
  }
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return Status(Code::IoError, "stdout: cannot write; use -o FILE");
  return Status();
}

} // namespace

void registerTune(CLI::App &app, Outcome &outcome) {
  auto arguments = std::make_shared<TuneArguments>();
  TuneArguments &a = *arguments;
  CLI::App *command =
      app.add_subcommand("tune", "Find the fastest schedules; work with their records");
#ifdef GPTQC_HAVE_TUNERUN
  command->require_subcommand(0, 1);
  registerTuneRun(*command, outcome);
  registerTuneCheck(*command, outcome);
#else
  command->require_subcommand(1);
#endif
  CLI::App *join = command->add_subcommand("merge", "Sorted union of files of tuning records");
  join->add_option("FILES", a.files, "Files of records")->required();
  join->add_option("-o,--output", a.output, "File to write; default: stdout");
  join->callback([arguments, &outcome] { outcome.status = merge(*arguments); });
}

} // namespace gptqc::cli
