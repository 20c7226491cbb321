// The one-line text forms: what parses prints as itself, and its layout has sizes that fit.
#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Target.h"
#include "runtime/core/WeightLayout.h"
#include "tests/fuzz/FuzzTarget.h"

using namespace gptqc;
using namespace gptqc::fuzz;

namespace {

template <typename T> Result<T> checkRoundTrip(std::string_view text) {
  const Result<T> value = T::parse(text);
  if (!value) {
    checkError(value.status());
    return value;
  }
  const std::string printed = value->print();
  const Result<T> again = T::parse(printed);
  require(again.ok() && *again == *value, "parse(print(x)) == x: " + printed);
  require(again->print() == printed, "print is a function of the value: " + printed);
  return value;
}

void checkDescriptor(const Descriptor &descriptor) {
  const Descriptor canonical = descriptor.canonical();
  require(canonical.validate().ok(), "the canonical form is valid: " + descriptor.print());
  require(canonical.canonical() == canonical, "canonical is idempotent: " + descriptor.print());
  const WeightLayout layout =
      descriptor.ragged ? WeightLayout::ragged(descriptor, {}) : WeightLayout::uniform(descriptor);
  require(layout.paddedN >= descriptor.n && layout.paddedK >= descriptor.k &&
              layout.weightBytes > 0 && layout.scaleBytes > 0 && layout.zeroBytes >= 0,
          "a layout has sizes: " + descriptor.print());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text = textOf(data, size);
  if (const Result<Descriptor> descriptor = checkRoundTrip<Descriptor>(text))
    checkDescriptor(*descriptor);
  if (const Result<Schedule> schedule = checkRoundTrip<Schedule>(text))
    require(schedule->nWarps() >= 1 && schedule->threads() >= 32, "a schedule has warps");
  (void)checkRoundTrip<Target>(text);
  const Result<std::vector<Target>> targets = Target::parseList(text);
  if (!targets)
    checkError(targets.status());
  else
    for (const Target &target : *targets)
      require(target.maxSharedMemory() > 0 && target.plannedSmCount() > 0, "a target has facts");
  return 0;
}
