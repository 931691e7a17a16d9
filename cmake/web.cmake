# The dashboard (web/), built by node and packed into one file, which is a part of the library
# (src/api/dashboard_files.cc). A program built without it says so at /dashboard.
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  option(JOBMILL_WEB "Build the dashboard, which needs node and npm" OFF)
else()
  option(JOBMILL_WEB "Build the dashboard, which needs node and npm" ON)
endif()
find_program(NODE node)
find_program(NPM npm)

set(JOBMILL_DASHBOARD_PACK "${PROJECT_BINARY_DIR}/dashboard.pack")
set(web "${PROJECT_SOURCE_DIR}/web")

if(JOBMILL_WEB AND NODE AND NPM AND EXISTS "${web}/package-lock.json")
  # What npm installs is shared by all build folders, and installed again only for another lock file.
  set(installed "${web}/node_modules/.package-lock.json")
  add_custom_command(OUTPUT "${installed}" DEPENDS "${web}/package-lock.json" VERBATIM
    WORKING_DIRECTORY "${web}" COMMENT "Installing what the dashboard is built with"
    COMMAND flock "${PROJECT_SOURCE_DIR}/web/package-lock.json" "${NPM}" ci --prefer-offline --no-audit --no-fund --loglevel=error
    COMMAND "${CMAKE_COMMAND}" -E touch "${installed}")

  file(GLOB_RECURSE web_sources CONFIGURE_DEPENDS "${web}/src/*" "${web}/public/*")
  file(GLOB web_settings CONFIGURE_DEPENDS "${web}/*.html" "${web}/*.ts" "${web}/*.json" "${web}/*.js" "${web}/*.mjs")
  set(dist "${PROJECT_BINARY_DIR}/web")
  add_custom_command(OUTPUT "${JOBMILL_DASHBOARD_PACK}" VERBATIM
    DEPENDS "${installed}" ${web_sources} ${web_settings} "${PROJECT_SOURCE_DIR}/tools/pack_dashboard.mjs"
    WORKING_DIRECTORY "${web}" COMMENT "Building the dashboard"
    COMMAND "${NPM}" run build --silent -- --outDir "${dist}" --emptyOutDir --logLevel warn
    COMMAND "${NODE}" "${PROJECT_SOURCE_DIR}/tools/pack_dashboard.mjs" "${dist}" "${JOBMILL_DASHBOARD_PACK}")
else()
  if(JOBMILL_WEB)
    message(STATUS "node or npm is missing: the program gets no dashboard")
  endif()
  file(CONFIGURE OUTPUT "${JOBMILL_DASHBOARD_PACK}" CONTENT "[]\n")
endif()

set_source_files_properties(src/api/dashboard_files.cc PROPERTIES
  OBJECT_DEPENDS "${JOBMILL_DASHBOARD_PACK}"
  COMPILE_DEFINITIONS "JOBMILL_DASHBOARD_PACK=\"${JOBMILL_DASHBOARD_PACK}\"")
