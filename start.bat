@echo off
rem Starts everything in containers and opens the page. USE_GPU=1 takes NVIDIA's Triton, EMO_MOCK=1 no model at all, and
rem CHECKPOINT_PATH=FILE exports a checkpoint first. Further arguments go to "docker compose up".
setlocal
cd /d "%~dp0"

set FILES=--file docker-compose.yml
if "%USE_GPU%"=="1" set FILES=%FILES% --file docker-compose.gpu.yml

if not defined CHECKPOINT_PATH goto start
if not exist "%CHECKPOINT_PATH%" (
    echo There is no checkpoint '%CHECKPOINT_PATH%'. 1>&2
    exit /b 1
)
for %%F in ("%CHECKPOINT_PATH%") do set CHECKPOINT_PATH=%%~fF
docker compose %FILES% run --rm --build --user 0:0 export || exit /b 1

:start
if "%EMO_MOCK%"=="1" (
    docker compose %FILES% up --build --detach --wait --no-deps %* gateway recorder || exit /b 1
) else (
    docker compose %FILES% up --build --detach --wait %* || exit /b 1
)
set PAGE=http://localhost:8080
if defined EMO_RECORDER_PORT set PAGE=http://localhost:%EMO_RECORDER_PORT%
echo The recorder is at %PAGE%; "docker compose down" stops everything.
start "" %PAGE%
