// gptqc tune check: how close the untuned defaults, or schedules carried over from other records,
// come to what tuning found.
#include <memory>
#include <string>

#include "autotune/TransferCheck.h"
#include "cli/Commands.h"
#include "runtime/core/Log.h"

namespace gptqc::cli {
namespace {

struct TuneCheckArguments {
  std::string records, transfer;
  double percent = 0;
};

Result<Records> load(const std::string &file) {
  GPTQC_ASSIGN(Records records, Records::load(file));
  if (records.torn())
    Log().warning("{}: the last line is not complete and is left out", file);
  return records;
}

Status check(const TuneCheckArguments &arguments) {
  GPTQC_ASSIGN(const Records records, load(arguments.records));
  ModelReport report;
  if (arguments.transfer.empty()) {
    report = checkModel(records);
  } else {
    GPTQC_ASSIGN(const Records from, load(arguments.transfer));
    report = checkTransfer(records, from);
  }
  fmt::print("{}", report.text);
  if (arguments.percent > 0 && report.judged == 0)
    return invalidArgument("{}: no point can be judged; tune some", arguments.records);
  if (100 * report.share >= arguments.percent)
    return Status();
  return invalidArgument("{}: {:.1f} % of the {} are within the tolerance, {} % are required; "
                         "tune these points, or fit {} to the records",
                         arguments.records, 100 * report.share,
                         arguments.transfer.empty() ? "defaults" : "points", arguments.percent,
                         arguments.transfer.empty() ? "the cost model" : "the distance");
}

} // namespace

void registerTuneCheck(CLI::App &command, Outcome &outcome) {
  auto arguments = std::make_shared<TuneCheckArguments>();
  CLI::App *app = command.add_subcommand("check", "Compare the untuned defaults with the records");
  app->add_option("RECORDS", arguments->records, "File of records")->required();
  app->add_option("--transfer", arguments->transfer,
                  "Judge what the points would take from this file's records instead");
  app->add_option("--require", arguments->percent,
                  "Fail unless this share of the points, in percent, is within 10 % of the best")
      ->check(CLI::Range(0.0, 100.0));
  app->callback([arguments, &outcome] { outcome.status = check(*arguments); });
}

} // namespace gptqc::cli
