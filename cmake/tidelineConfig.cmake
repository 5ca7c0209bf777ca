# find_package(tideline) of an installed folder: the target tideline::tideline. Everything it needs beyond the C and C++ runtimes
# lies beside it in lib/, so that nothing else has to be found.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
get_filename_component(tideline_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
include("${CMAKE_CURRENT_LIST_DIR}/tidelineLibraries.cmake")
if(NOT TARGET tideline::tideline)
  add_library(tideline::tideline STATIC IMPORTED)
  list(TRANSFORM tideline_bundled PREPEND "${tideline_prefix}/lib/" OUTPUT_VARIABLE tideline_needs)
  set_target_properties(tideline::tideline PROPERTIES
    IMPORTED_LOCATION "${tideline_prefix}/lib/libtideline.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES CXX
    INTERFACE_COMPILE_FEATURES cxx_std_20
    INTERFACE_INCLUDE_DIRECTORIES "${tideline_prefix}/include"
    INTERFACE_LINK_OPTIONS "-Wl,--disable-new-dtags"
    INTERFACE_LINK_LIBRARIES "${tideline_needs};Threads::Threads;${CMAKE_DL_LIBS}")
endif()
