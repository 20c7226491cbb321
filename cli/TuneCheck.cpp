// gptqc tune check: how close the untuned defaults come to what tuning found.
#include <memory>
#include <string>

#include "autotune/ModelCheck.h"
#include "cli/Commands.h"
#include "runtime/core/Log.h"

namespace gptqc::cli {
namespace {

struct Arguments {
  std::string records;
  double percent = 0;
};

Status check(const Arguments &arguments) {
  GPTQC_ASSIGN(const Records records, Records::load(arguments.records));
  if (records.torn())
    Log().warning("{}: the last line is not complete and is left out", arguments.records);
  const ModelReport report = checkModel(records);
  fmt::print("{}", report.text);
  if (100 * report.share < arguments.percent)
    return invalidArgument(
        "{}: {:.1f} % of the defaults are within the tolerance, {} % are required; "
        "tune these points, or fit the cost model to the records",
        arguments.records, 100 * report.share, arguments.percent);
  return Status();
}

} // namespace

void registerTuneCheck(CLI::App &command, Outcome &outcome) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App *app = command.add_subcommand("check", "Compare the untuned defaults with the records");
  app->add_option("RECORDS", arguments->records, "File of records")->required();
  app->add_option("--require", arguments->percent,
                  "Fail unless this share of the points, in percent, is within 10 % of the best")
      ->check(CLI::Range(0.0, 100.0));
  app->callback([arguments, &outcome] { outcome.status = check(*arguments); });
}

} // namespace gptqc::cli
