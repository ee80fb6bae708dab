# `cmake --install`: the program, its default model and its manual; the libraries and headers, a CMake package and a .pc
# file. Its two components, `program` and `development`, are the two packages of package.cmake.
include(CMakePackageConfigHelpers)

set(libraries dalle1_options dalle1_core dalle1_weights dalle1_dvae dalle1_transformer dalle1_clip dalle1_rerank)
install(TARGETS dalle1 RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(TARGETS ${libraries} EXPORT dalle1Targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
foreach(folder core weights dvae transformer clip rerank)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dalle1 COMPONENT development
          FILES_MATCHING PATTERN "*.h" PATTERN default EXCLUDE PATTERN presets EXCLUDE PATTERN tokenizers EXCLUDE)
endforeach()
if(EXISTS ${PROJECT_SOURCE_DIR}/weights/default)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/weights/default DESTINATION ${CMAKE_INSTALL_DATADIR}/dalle1
          COMPONENT program)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/tools/serve/deploy/dalle1.service DESTINATION lib/systemd/system COMPONENT program)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/weights/tokenizers DESTINATION ${CMAKE_INSTALL_DATADIR}/dalle1
        COMPONENT program)
# A package has them as its `copyright`.
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR}
        COMPONENT licence)

# The program writes its own manual; packages want it compressed.
set(manual ${PROJECT_BINARY_DIR}/manual)
install(CODE "
  file(REMOVE_RECURSE \"${manual}\")
  execute_process(COMMAND \"$<TARGET_FILE:dalle1>\" manual --out \"${manual}\" COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB pages \"${manual}/man1/*.1\")
  execute_process(COMMAND gzip -9n \${pages} COMMAND_ERROR_IS_FATAL ANY)" COMPONENT program)
install(DIRECTORY ${manual}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT program)
install(FILES ${manual}/dalle1.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME dalle1
        COMPONENT program)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dalle1)
install(EXPORT dalle1Targets NAMESPACE dalle1:: DESTINATION ${package_dir} COMPONENT development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/dalle1Config.cmake.in ${PROJECT_BINARY_DIR}/dalle1Config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/dalle1ConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/dalle1Config.cmake ${PROJECT_BINARY_DIR}/dalle1ConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake
        DESTINATION ${package_dir} COMPONENT development)
# Relative, so that `cmake --install --prefix` and moved trees stay right.
file(RELATIVE_PATH DALLE1_PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" DALLE1_PREFIX_FROM_PC ${DALLE1_PREFIX_FROM_PC})
configure_file(${CMAKE_CURRENT_LIST_DIR}/dalle1.pc.in ${PROJECT_BINARY_DIR}/dalle1.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/dalle1.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
