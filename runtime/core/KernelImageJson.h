// The facts of a KernelImage (all but the cubin) as JSON: the header of its byte form and an entry
// of a pack's manifest are the same object.
#ifndef GPTQC_RUNTIME_CORE_KERNELIMAGEJSON_H
#define GPTQC_RUNTIME_CORE_KERNELIMAGEJSON_H

#include <string_view>

#include <nlohmann/json.hpp>

#include "runtime/core/KernelImage.h"

namespace gptqc {

nlohmann::json kernelFactsToJson(const KernelImage &image);

/// DataCorrupt naming `origin` and the first member that is missing or out of range; members that
/// it does not know are left alone. The image has no cubin.
Result<KernelImage> kernelFactsFromJson(const nlohmann::json &facts, std::string_view origin);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_KERNELIMAGEJSON_H
