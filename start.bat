@echo off
rem Starts everything in containers and opens the page. USE_GPU=1 uses NVIDIA's Triton, EMO_MOCK=1 returns made-up numbers
rem without a model, and CHECKPOINT_PATH=FILE exports a checkpoint first. Arguments are passed on to "docker compose up".
setlocal
cd /d "%~dp0"

set FILES=--file docker-compose.yml
if "%USE_GPU%"=="1" set FILES=%FILES% --file docker-compose.gpu.yml

if not defined CHECKPOINT_PATH goto start
if not exist "%CHECKPOINT_PATH%" (
    echo Checkpoint '%CHECKPOINT_PATH%' not found. 1>&2
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
for /f "delims=" %%A in ('docker compose %FILES% port recorder 8080') do set PAGE=http://%%A
echo Open %PAGE% in a browser; "docker compose down" stops everything.
start "" %PAGE%
