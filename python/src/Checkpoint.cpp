// Checkpoints: the list of layers, what lint finds, and the tensors of a layer.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/Bindings.h"
#include "python/src/Part.h"

namespace gptqc::python {
namespace {

constexpr std::pair<const char *, ZeroRule> kZeroRules[] = {
    {"stored", ZeroRule::Stored},
    {"minus_one", ZeroRule::AddPerField},
    {"minus_one_words", ZeroRule::AddPerWord},
    {"old_3bit", ZeroRule::OldThreeBit},
};

ZeroRule zeroRuleFrom(const std::string &name) {
  for (const auto &[text, rule] : kZeroRules)
    if (name == text)
      return rule;
  throw Failure(invalidArgument(
      "'{}' is no form of zero points; use stored, minus_one, minus_one_words or old_3bit", name));
}

const char *zeroRuleName(ZeroRule rule) {
  for (const auto &[text, candidate] : kZeroRules)
    if (rule == candidate)
      return text;
  return "stored";
}

Packing packingFrom(const std::string &name) {
  for (const Packing packing : {Packing::Continuous, Packing::Planar})
    if (name == packingName(packing))
      return packing;
  throw Failure(invalidArgument("'{}' is no packing; use continuous or planar", name));
}

Part partOfCheckpoint(const Checkpoint &checkpoint, const std::string &name) {
  const LayerInfo *info = checkpoint.find(name);
  if (!info)
    throw Failure(makeError(Code::NotFound, "{}: there is no quantized layer '{}'",
                            checkpoint.folder().directory().string(), name));
  RawLayer raw = take(checkpoint.rawLayer(*info));
  Part part;
  part.facts = std::move(raw.facts);
  part.packing = raw.packing;
  part.zeroRule = raw.zeroRule;
  part.words = raw.qweight.data();
  part.checkpoint = checkpoint;
  return part;
}

/// What Python says about a layer's tensors.
struct TensorFacts {
  int bits = 4;
  int64_t groupSize = 128;
  std::string packing, zeros, act, out;
};

Part partOfTensors(const TensorFacts &given, const Array &qweight, const Array &scales,
                   const std::optional<Array> &qzeros, const std::optional<Array> &groupIndex,
                   const std::optional<Array> &bias) {
  if (given.bits < 2 || given.bits > 8)
    throw Failure(invalidArgument("bits is {}; 2 to 8 are possible", given.bits));
  if (qweight.ndim() != 2 || scales.ndim() != 2 || elementOf(qweight.dtype()) != Element::I32)
    throw Failure(invalidArgument("qweight is {} and scales is {}; they must be int32 "
                                  "[K*bits/32, N] and 16-bit floats [groups, N]",
                                  describe(qweight), describe(scales)));
  const int64_t n = int64_t(qweight.shape(1)), words = int64_t(qweight.shape(0)),
                groups = int64_t(scales.shape(0));
  const int64_t k = words * 32 / given.bits;
  if (qweight.stride(1) != 1 || qweight.stride(0) != n)
    throw Failure(invalidArgument("qweight is not contiguous; make it so first"));
  if (!packsWhole(given.bits, k) || packedWords(given.bits, k) != words ||
      (qzeros && !packsWhole(given.bits, n)))
    throw Failure(invalidArgument("qweight is {}: its rows are no whole blocks of {}-bit codes",
                                  describe(qweight), given.bits));
  Part part;
  part.packing = packingFrom(given.packing);
  part.zeroRule = zeroRuleFrom(given.zeros);
  part.words = qweight.data();
  part.onDevice = !isOnHost(qweight);
  part.array = qweight;
  LayerCodes layer;
  layer.bits = given.bits;
  layer.n = n;
  layer.k = k;
  layer.groupSize = given.groupSize;
  layer.act = dtypeFrom(given.act);
  layer.out = dtypeFrom(given.out);
  const Element scaleType = elementOf(scales.dtype());
  layer.scaleType = scaleType == Element::BF16 ? DType::BF16 : DType::F16;
  layer.scales = hostSpan<uint16_t>(
      scales, "scales", scaleType == Element::BF16 ? Element::BF16 : Element::F16, {groups, n});
  std::vector<uint8_t> zeros;
  if (qzeros) {
    zeros = unpackZeros(
        part.packing, given.bits, groups, n,
        hostBytes(*qzeros, "qzeros", Element::I32, {groups, packedWords(given.bits, n)}),
        part.zeroRule);
    layer.zeros = zeros;
  }
  if (groupIndex)
    layer.groupIndex = hostSpan<int32_t>(*groupIndex, "g_idx", Element::I32, {k});
  if (bias)
    layer.bias = hostSpan<uint16_t>(*bias, "bias",
                                    layer.act == DType::F16 ? Element::F16 : Element::BF16, {n});
  part.facts = take(layerWithoutCodes(layer));
  return part;
}

nb::list findingsOf(const Checkpoint &checkpoint) {
  nb::list list;
  for (const Finding &finding : checkpoint.findings()) {
    const char *severity = finding.severity == Severity::Warning ? "warning"
                           : finding.severity == Severity::Error ? "error"
                                                                 : "fatal";
    list.append(
        nb::make_tuple(severity, finding.check, finding.subject, finding.problem, finding.repair));
  }
  return list;
}

/// A layer as keyword arguments of gptqc.Layer.
nb::list layersOf(const Checkpoint &checkpoint) {
  nb::list list;
  for (const LayerInfo &layer : checkpoint.layers()) {
    nb::dict facts;
    facts["name"] = layer.name;
    facts["descriptor"] = layer.descriptor.print();
    facts["bits"] = layer.descriptor.bits;
    facts["group_size"] = layer.descriptor.groupSize;
    facts["in_features"] = layer.descriptor.k;
    facts["out_features"] = layer.descriptor.n;
    facts["groups"] = layer.groups;
    facts["sym"] = layer.descriptor.sym;
    facts["act_order"] = layer.descriptor.actOrder;
    facts["bias"] = layer.descriptor.bias;
    facts["format"] = std::string(fileFormatName(layer.config.format));
    facts["has_g_idx"] = layer.hasGroupIndex;
    facts["file_bytes"] = layer.fileBytes;
    facts["bits_per_weight"] = layer.bitsPerWeight();
    list.append(facts);
  }
  return list;
}

} // namespace

LinearPart Part::linearPart() const {
  LinearPart part;
  part.facts = facts;
  part.packing = packing == Packing::Planar ? WordPacking::Planar : WordPacking::Continuous;
  part.words = words;
  part.onDevice = onDevice;
  return part;
}

Result<QuantizedMatrix> joinOnHost(std::span<const Part *const> parts, const LayerPlan &plan) {
  std::vector<QuantizedMatrix> facts;
  for (const Part *part : parts) {
    if (part->onDevice)
      return invalidArgument("qweight is on a GPU, the layer is to run on the CPU; copy it first");
    facts.push_back(part->facts);
  }
  GPTQC_ASSIGN(LayerShape shape, joinParts(facts, plan));
  QuantizedMatrix joined = std::move(shape.facts);
  const int64_t n = joined.descriptor.n, k = joined.descriptor.k;
  joined.codes.resize(size_t(k * n));
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Descriptor &d = facts[i].descriptor;
    const LayerShape::Rows rows = shape.rows[i];
    const std::vector<uint8_t> codes = unpackRows(parts[i]->packing, d.bits, d.k, d.n,
                                                  {static_cast<const uint8_t *>(parts[i]->words),
                                                   size_t(packedWords(d.bits, d.k) * d.n * 4)});
    for (int64_t row = 0; row < k; ++row) {
      const int64_t source = shape.columns.empty() ? row : shape.columns[size_t(row)];
      std::copy_n(codes.data() + source * d.n + rows.first, rows.count,
                  joined.codes.data() + row * n + first);
    }
    first += rows.count;
  }
  return joined;
}

void bindCheckpoint(nb::module_ &module) {
  nb::class_<Part>(module, "Part")
      .def(
          "__init__",
          [](Part *self, int bits, int64_t groupSize, const Array &qweight, const Array &scales,
             const std::optional<Array> &qzeros, const std::optional<Array> &groupIndex,
             const std::optional<Array> &bias, const std::string &packing, const std::string &zeros,
             const std::string &act, const std::string &out) {
            new (self) Part(partOfTensors({bits, groupSize, packing, zeros, act, out}, qweight,
                                          scales, qzeros, groupIndex, bias));
          },
          nb::arg("bits"), nb::arg("group_size"), nb::arg("qweight"), nb::arg("scales"),
          nb::arg("qzeros").none(), nb::arg("g_idx").none(), nb::arg("bias").none(),
          nb::arg("packing"), nb::arg("zeros"), nb::arg("act"), nb::arg("out"))
      .def_prop_ro("descriptor", [](const Part &part) { return part.facts.descriptor.print(); })
      .def_prop_ro("packing",
                   [](const Part &part) { return std::string(packingName(part.packing)); })
      .def_prop_ro("zeros", [](const Part &part) { return zeroRuleName(part.zeroRule); });

  nb::class_<Checkpoint>(module, "Checkpoint")
      .def_static(
          "open",
          [](const std::string &folder, bool examine) {
            return unlocked([&] {
              return take(examine ? Checkpoint::examine(folder) : Checkpoint::open(folder));
            });
          },
          nb::arg("folder"), nb::arg("examine"))
      .def_prop_ro("folder", [](const Checkpoint &c) { return c.folder().directory().string(); })
      .def_prop_ro(
          "activation",
          [](const Checkpoint &c) { return std::string(torchName(c.folder().activationType())); })
      .def("layers", layersOf)
      .def("findings", findingsOf)
      .def("part", partOfCheckpoint, nb::arg("name"));
}

} // namespace gptqc::python
