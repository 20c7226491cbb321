// Made-up tuning records for tests.
#ifndef GPTQC_TESTS_AUTOTUNE_MADEUPRECORDS_H
#define GPTQC_TESTS_AUTOTUNE_MADEUPRECORDS_H

#include <gtest/gtest.h>

#include "autotune/records/Records.h"
#include "compiler/schedule/CostModel.h"

namespace gptqc {

inline const Target kTarget = *Target::parse("sm_90a h200 sms132");

inline std::string line(const Descriptor &d, const std::string &schedule, double us,
                        const char *build = "a") {
  return fmt::format("{} | {} | {} | us={} spread=0 method=x build={}\n", d.print(),
                     kTarget.print(), schedule, us, build);
}

inline Records parse(const std::string &text) {
  Result<Records> records = Records::parse(text, "test");
  EXPECT_TRUE(records.ok()) << records.status().message();
  return *records;
}

inline std::string choiceOf(const Descriptor &d) { return CostModel::choose(d, kTarget)->print(); }

} // namespace gptqc

#endif // GPTQC_TESTS_AUTOTUNE_MADEUPRECORDS_H
