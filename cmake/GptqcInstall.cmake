# `cmake --install`: the tools, the runtime library with its C header, the licence.
include(GNUInstallDirs)
foreach(t gptqc gptqc-opt gptqc_runtime)
  if(TARGET ${t})
    install(TARGETS ${t} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
                         LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  endif()
endforeach()
if(EXISTS "${PROJECT_SOURCE_DIR}/runtime/include/gptqc")
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/runtime/include/gptqc"
          DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
endif()
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
