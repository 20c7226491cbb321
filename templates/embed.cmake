# Writes a C++ file that holds every listed file as bytes. Run as
#   cmake -DROOT=templates -DLIST=files.txt -DOUTPUT=Embedded.cpp -P embed.cmake
# where LIST names one file per line, relative to ROOT.
file(STRINGS "${LIST}" names)
list(SORT names)
set(code "// Written by templates/embed.cmake from the files under templates/.\n#include \"templates/Templates.h\"\n\nnamespace gptqc {\nnamespace {\n")
set(table "")
set(index 0)
foreach(name IN LISTS names)
  file(READ "${ROOT}/${name}" bytes HEX)
  string(LENGTH "${bytes}" size)
  math(EXPR size "${size} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND code "const unsigned char file${index}[] = {${bytes}0x00};\n")
  string(APPEND table
         "    {\"${name}\", {reinterpret_cast<const char *>(file${index}), ${size}}},\n")
  math(EXPR index "${index} + 1")
endforeach()
if(index EQUAL 0)
  message(FATAL_ERROR "${LIST}: no files to embed")
endif()
string(APPEND code "const EmbeddedFile files[] = {\n${table}};\n} // namespace\n\nstd::span<const EmbeddedFile> embeddedTemplates() { return files; }\n} // namespace gptqc\n")
file(WRITE "${OUTPUT}.tmp" "${code}")
file(RENAME "${OUTPUT}.tmp" "${OUTPUT}")
