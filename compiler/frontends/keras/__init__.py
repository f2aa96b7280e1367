"""Models of Keras: ``.h5`` of Keras 1 and 2, ``.keras`` of Keras 3, TensorFlow.js's layers models,
and objects in memory. One set of converters serves all of them: layers to weft's operators."""
