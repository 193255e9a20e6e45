// Between the bytes that the server sends and canvases.

// Bytes from base64, and back.
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

export function base64Of(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

// What a canvas takes, of a picture { height, width, rgb }.
export function imageData({ height, width, rgb }) {
  const bytes = bytesOf(rgb);
  const data = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    data.data.set(bytes.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
    data.data[4 * pixel + 3] = 255;
  }
  return data;
}

// Puts a picture onto a canvas, pixel for pixel; the style sheet enlarges it.
export function draw(canvas, picture) {
  const data = imageData(picture);
  if (canvas.width !== data.width || canvas.height !== data.height) {
    [canvas.width, canvas.height] = [data.width, data.height];
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
}

// Hands the browser a file to keep.
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The picture as a PNG, one pixel for each of its own.
export function savePicture(picture, name) {
  const canvas = document.createElement("canvas");
  draw(canvas, picture);
  canvas.toBlob((blob) => save(blob, name), "image/png");
}
