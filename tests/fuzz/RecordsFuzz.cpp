// Tuning records: what parses prints as itself, unions do not depend on the order of the files, and
// a torn file is whole again after the next append.
#include "autotune/records/Records.h"
#include "tests/fuzz/FuzzTarget.h"

using namespace gptqc;
using namespace gptqc::fuzz;

namespace {

void checkRecord(const TuningRecord &record) {
  const std::string line = record.print();
  checkMessage(line);
  const Result<TuningRecord> again = TuningRecord::parse(line);
  require(again.ok() && *again == record, "parse(print(x)) == x: " + line);
  require(record.descriptor.validate().ok(), "a record has a valid descriptor: " + line);
}

void checkBest(const Records &records) {
  for (const TuningRecord &record : records.all()) {
    const TuningRecord *best = records.best(record.descriptor, record.target);
    require(best && best->descriptor == record.descriptor && best->target == record.target,
            "a target's own records come first: " + record.print());
  }
}

void checkMerge(const Records &records, std::string_view text) {
  const std::string merged = Records::merge({records}).print();
  require(Records::merge({records, records}).print() == merged, "a union has no repetitions");
  const size_t half = text.find('\n', text.size() / 2);
  if (half == std::string_view::npos)
    return;
  const Result<Records> first = Records::parse(text.substr(0, half + 1), "first");
  const Result<Records> second = Records::parse(text.substr(half + 1), "second");
  require(first.ok() && second.ok(), "lines do not depend on each other");
  require(Records::merge({*second, *first}).print() == merged, "a union has no order");
}

void checkAppend(const MemoryFile &file, const Records &before) {
  const Result<TuningRecord> record =
      TuningRecord::parse("w4 g128 sym f16->f16 n256 k256 m1..1 | sm_80 | "
                          "simt t64x4x16 warps2 stages1 | us=1 spread=0 method=fuzz build=fuzz");
  require(record.ok(), "the record to append is one");
  require(appendRecords(file.path(), {*record}).ok(), "a record can be appended");
  const Result<Records> after = Records::load(file.path());
  require(after.ok() && !after->torn() && after->all().size() == before.all().size() + 1 &&
              after->all().back() == *record,
          "an append keeps the whole lines and adds its own");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static MemoryFile file;
  const std::string_view text = textOf(data, size);
  const Result<TuningRecord> line = TuningRecord::parse(text);
  if (!line)
    checkError(line.status());
  else
    checkRecord(*line);
  file.assign(data, size);
  const Result<Records> records = Records::load(file.path());
  if (!records) {
    checkError(records.status());
    return 0;
  }
  require(!records->torn() || text.back() != '\n', "a torn file ends without a newline");
  for (const TuningRecord &record : records->all())
    checkRecord(record);
  checkBest(*records);
  checkMerge(*records, text);
  checkAppend(file, *records);
  return 0;
}
