// Runs the gptqc tool as a user does: output, messages of one line, exit codes.
#ifndef GPTQC_TESTS_CLI_RUNTOOL_H
#define GPTQC_TESTS_CLI_RUNTOOL_H

#include <algorithm>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "tests/support/TempFolder.h"

namespace gptqc::fixtures {

struct Outcome {
  int exitCode = -1;
  std::string output, errors;
};

/// `before`: of the shell, e.g. "ulimit -f 100; ".
inline Outcome run(const std::string &arguments, const std::string &before = "") {
  const TempFolder temp;
  // Redirections among the arguments come later and so win.
  const std::string command = before + std::string(GPTQC_BINARY_DIR) + "/bin/gptqc >" +
                              (temp / "out").string() + " 2>" + (temp / "err").string() + " " +
                              arguments;
  // NOLINTNEXTLINE(bugprone-command-processor): the tests write the command lines
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, readText(temp / "out"),
          readText(temp / "err")};
}

inline bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

/// Exit code and exactly one line on stderr that holds `says`.
inline void expectFailure(const std::string &arguments, int exitCode, const std::string &says) {
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.exitCode, exitCode) << arguments << ": " << outcome.errors;
  EXPECT_TRUE(contains(outcome.errors, says)) << outcome.errors;
  EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
  EXPECT_EQ(outcome.errors.rfind(exitCode == 2 ? "gptqc: usage: " : "gptqc: error: ", 0), 0u)
      << outcome.errors;
}

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_CLI_RUNTOOL_H
