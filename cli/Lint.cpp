// gptqc lint MODEL: every inconsistency of a checkpoint, with its repair; fails when there is an
// error.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/Commands.h"
#include "runtime/checkpoint/Checkpoint.h"

namespace gptqc::cli {
namespace {

Status lint(const std::string &model) {
  GPTQC_ASSIGN(const Checkpoint checkpoint, Checkpoint::examine(model));
  const std::vector<Finding> &findings = checkpoint.findings();
  for (const Finding &finding : findings)
    fmt::print("{}: {}\n", severityName(finding.severity), finding.print());
  const auto errors = std::count_if(findings.begin(), findings.end(), [](const Finding &finding) {
    return finding.severity != Severity::Warning;
  });
  fmt::print("{}: {} layers read, {} errors, {} warnings\n", model, checkpoint.layers().size(),
             errors, int64_t(findings.size()) - errors);
  if (errors > 0)
    return dataCorrupt("{}: {} error(s); the lines above say how to repair them", model, errors);
  return Status();
}

} // namespace

void registerLint(CLI::App &app, Outcome &outcome) {
  auto model = std::make_shared<std::string>();
  CLI::App *command = app.add_subcommand("lint", "Check a checkpoint and say how to repair it");
  command->add_option("MODEL", *model, "Folder of a GPTQ checkpoint")->required();
  command->callback([model, &outcome] { outcome.status = lint(*model); });
}

} // namespace gptqc::cli
