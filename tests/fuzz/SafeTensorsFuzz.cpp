// The safetensors header: whatever it claims, a tensor lies inside the file and no two share bytes.
#include "runtime/core/SafeTensors.h"
#include "runtime/core/TextForm.h"
#include "tests/fuzz/FuzzTarget.h"

using namespace gptqc;
using namespace gptqc::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static MemoryFile memory;
  memory.assign(data, size);
  const auto opened = SafeTensorsFile::open(memory.path());
  if (!opened) {
    checkError(opened.status());
    return 0;
  }
  const SafeTensorsFile &file = **opened;
  uint64_t total = 0, sum = 0;
  for (const TensorInfo &info : file.tensors()) {
    require(file.find(info.name) == &info, "a listed tensor is found by its name");
    require(info.begin + info.bytes <= size, "a tensor lies inside the file");
    require(uint64_t(info.elements()) * uint64_t(elementBits(info.type)) == info.bytes * 8,
            "a tensor has the bytes of its shape");
    for (const uint8_t byte : file.bytes(info))
      sum += byte;
    total += info.bytes;
    checkMessage(quoteName(info.name + "x") + info.print());
  }
  require(total + 8 <= size && sum <= 255 * total, "tensors share no bytes");
  require(!file.find("no such tensor, for no corpus names one so"), "others are not found");
  return 0;
}
