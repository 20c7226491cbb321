// v1 (z - 1 is stored) or v2 (z is stored), and the three ways in which v1 files went wrong.
#include "runtime/checkpoint/ZeroPoints.h"

#include <algorithm>

#include "runtime/core/TextForm.h"

namespace gptqc {
namespace {

constexpr const char *kRewrite = "save the checkpoint again as gptq_v2";

class Decoder {
public:
  Decoder(const ZeroPointSource &source, std::span<const uint8_t> words,
          std::vector<Finding> &findings)
      : source(source), words(words), findings(findings), bits(source.config.bits) {}

  ZeroPoints run() {
    const FileFormat format = source.config.format;
    if (format != FileFormat::Gptq) {
      ZeroPoints points = decode(ZeroRule::Stored);
      if (source.config.sym && allAre(points, symZero() - 1))
        return otherConvention("v1 (one less is stored)", "gptq", ZeroRule::AddPerField);
      checkSym(points);
      return points;
    }
    if (bits == 3 && isOldThreeBitSignature(words)) {
      reportThreeBit("its zero-point words are those that GPTQModel wrote before 2026-04-17");
      return decode(ZeroRule::OldThreeBit);
    }
    ZeroPoints points = decode(ZeroRule::AddPerField);
    if (allAre(points, symZero()))
      return points;
    if (source.config.sym && allAre(points, symZero() + 1))
      return otherConvention("v2 (the zero point itself is stored)", "gptq_v2", ZeroRule::Stored);
    points = readAsymmetricV1(std::move(points));
    checkSym(points);
    return points;
  }

private:
  int symZero() const { return 1 << (bits - 1); }

  static bool allAre(const ZeroPoints &points, int zero) {
    return std::all_of(points.zeros.begin(), points.zeros.end(),
                       [&](uint8_t value) { return value == zero; });
  }

  ZeroPoints decode(ZeroRule rule) const {
    const Packing packing =
        source.config.format == FileFormat::GptqPlanar ? Packing::Planar : Packing::Continuous;
    return {unpackZeros(packing, bits, source.groups, source.n, words, rule), rule};
  }

  void add(Severity severity, std::string check, std::string problem, std::string repair) {
    findings.push_back({severity, std::move(check), quoteName(source.layer), std::move(problem),
                        std::move(repair)});
  }

  void reportThreeBit(std::string how) {
    add(Severity::Error, "zeros-3bit",
        std::move(how) + ", which other readers take for wrong zeros",
        "they are repaired in memory; " + std::string(kRewrite));
  }

  ZeroPoints otherConvention(std::string_view found, std::string_view format, ZeroRule rule) {
    add(Severity::Error, "zeros-format",
        fmt::format("the symmetric zero points are stored as {}, the configuration says {}", found,
                    fileFormatName(source.config.format)),
        fmt::format("they are read so; set checkpoint_format to {}", format));
    return decode(rule);
  }

  /// v1 words of an asymmetric layer. A zero point of 0 cannot be told from a borrow by one field
  /// alone, so who wrote the file decides.
  ZeroPoints readAsymmetricV1(ZeroPoints perField) {
    const WriterIdentity &writer = source.writer;
    const bool known = writer.name == "gptqmodel" && writer.versionKnown && !writer.isBefore(0, 9);
    if (bits == 3 && known && writer.isBefore(6, 1)) {
      reportThreeBit(
          fmt::format("it was written by GPTQModel {}.{}.{}, whose 3-bit v1 zero points are "
                      "wrong",
                      writer.major, writer.minor, writer.patch));
      return decode(ZeroRule::OldThreeBit);
    }
    if (bits == 3) { // fields cross words: every reader takes them one by one
      if (!known)
        warnAsymmetric();
      return perField;
    }
    const UnderflowFacts facts = underflowFacts(bits, words);
    if (known) {
      if (facts.words > 0)
        add(Severity::Error, "zeros-underflow",
            fmt::format(
                "{} v1 words hold a zero point of 0, which readers that take fields one by one "
                "misread",
                facts.words),
            fmt::format("they are read by whole words; {}", kRewrite));
      return decode(ZeroRule::AddPerWord);
    }
    if (facts.words == 0) {
      warnAsymmetric();
    } else if (facts.allOnesAbove > 0 && facts.others == 0) {
      add(Severity::Error, "zeros-or-packed",
          fmt::format(
              "{} words of zero points were damaged by a writer that packed -1 over the fields "
              "above it",
              facts.allOnesAbove),
          "what was there is lost; quantize the model again");
    } else {
      add(Severity::Error, "zeros-underflow",
          fmt::format(
              "{} v1 words hold a zero point of 0 and the writer is unknown; fields are read one "
              "by one, some may be wrong",
              facts.words),
          "quantize again as gptq_v2, or add meta.quantizer if GPTQModel wrote the file");
    }
    return perField;
  }

  void warnAsymmetric() {
    add(Severity::Warning, "zeros-v1-asym",
        "asymmetric v1 zero points that GPTQModel >= 0.9 did not write: some readers refuse them",
        fmt::format("fields are read one by one; {}", kRewrite));
  }

  void checkSym(const ZeroPoints &points) {
    if (source.config.sym && !allAre(points, symZero()))
      add(Severity::Error, "sym-claimed",
          fmt::format("the configuration says sym, but zero points differ from {}", symZero()),
          "they are used as stored; set sym to false");
  }

  const ZeroPointSource &source;
  std::span<const uint8_t> words;
  std::vector<Finding> &findings;
  int bits;
};

} // namespace

ZeroPoints readZeroPoints(const ZeroPointSource &source, std::span<const uint8_t> words,
                          std::vector<Finding> &findings) {
  return Decoder(source, words, findings).run();
}

} // namespace gptqc
