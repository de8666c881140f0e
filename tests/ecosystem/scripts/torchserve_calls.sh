#!/bin/sh
# What users of TorchServe send: the base URL, the model, an image file, and a folder.
# Writes the status, the content type and the body of each answer into the folder.
set -eu
url=$1 model=$2 image=$3 folder=$4

call() {
    name=$1
    shift
    curl --silent --output "$folder/$name.body" --write-out '%{http_code} %{content_type}' "$@" \
        > "$folder/$name.head"
}

echo "not an image" > "$folder/text"
call ping "$url/ping"
call upload "$url/predictions/$model" -T "$image"
call form "$url/predictions/$model" -F "data=@$image"
call binary "$url/predictions/$model" --data-binary "@$image" -H 'Content-Type: image/jpeg'
call post "$url/predictions/$model" -X POST -T "$image"
call version "$url/predictions/$model/1.0" -T "$image"
call no-model "$url/predictions/nope" -T "$image"
call no-version "$url/predictions/$model/7.0" -T "$image"
call no-image "$url/predictions/$model" -T "$folder/text"
call explanation "$url/explanations/$model" -T "$image"
call explanation-post "$url/explanations/$model" -F "data=@$image"
call explanation-target "$url/explanations/$model" -F "data=@$image" -F target=3
